"""Folders to publish, small ones: a dataset of a thousand rows, a run of an untrained model."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from transformers import AutoConfig

import vsc_dataset
import vsc_models  # noqa: F401  registers the model types
from scripts.core.model_loading import head_of
from scripts.core.trial_store import append_record
from scripts.publishing import parquet
from scripts.training.recipes import find_recipe
from scripts.training.run_report import write_report
from tests.scripts.reporting.cases import answered, curve, record
from vsc_dataset import CONFIGS, TaskConfig

SIZES = {"num_train": 600, "num_validation": 200, "num_test": 1_000, "num_test_programs": 100}
SMALL: dict[str, TaskConfig] = {
    "swap-nops5": replace(CONFIGS["swap-nops5"], **SIZES),
    "grid-len3": replace(CONFIGS["grid-len3"], num_test=20, grid_nops=(1, 20, 1024)),
}


@contextmanager
def small_configs() -> Iterator[None]:
    """Let the dataset have these configurations alone."""
    with (
        mock.patch.object(vsc_dataset, "CONFIGS", SMALL),
        mock.patch.object(parquet, "CONFIGS", SMALL),
        mock.patch.object(parquet, "make_config", SMALL.__getitem__),
    ):
        yield


def make_dataset(folder: Path) -> Path:
    """As `build_dataset.py` makes it, of configurations with fewer rows."""
    with small_configs():
        for shard in parquet.shards_of(*SMALL):
            parquet.write_shard(folder, shard)
        assert parquet.write_manifest(folder) == list(SMALL)
    return folder


def make_run(folder: Path, model_type: str = "vsc_delta", **settings: Any) -> Path:
    """As `train.py` leaves it, of a model that knows nothing; its figures are not measured.

    Without settings the recipe is that of recipes.toml.
    """
    folder.mkdir(parents=True)
    config = CONFIGS["swap-nops1-5"]
    torch.manual_seed(0)
    if model_type.startswith("vsc_"):
        settings |= {"answer_width": config.answer_width}
    model_config = AutoConfig.for_model(model_type, **settings)
    model = head_of(model_config).from_config(model_config)
    model.save_pretrained(folder)
    recipe = find_recipe("swap-delta")
    if model_type != recipe.model:
        mixer = str(settings.get("mixer", ""))
        recipe = replace(recipe, model="vsc_delta" if mixer else model_type, mixer=mixer)
    run = {"recipe": recipe.to_json(), "seeds": [0, 1]}
    (folder / "run.json").write_text(json.dumps(run))
    errors = {"mask_error_pct": 54.321, "test_sample_error_pct": 97.53, "samples": 640}
    records = [
        record(
            seed,
            parameters=model.num_parameters(),
            sample_error_pct=98.76 + seed,
            test_mask_error_pct=53.17 + seed,
            **errors,
        )
        for seed in run["seeds"]
    ]
    for one in records:
        append_record(folder / "trials.jsonl", one)
    parts = dict.fromkeys(("validation", "by_nops"), answered(config, 100))
    write_report(folder, records, [curve(), curve()], parts, config.answer_width)
    return folder
