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
from scripts.core.trial_store import TrialRecord, append_record
from scripts.publishing import parquet
from scripts.reporting.report import Answered, write_report
from scripts.training.recipes import find_recipe
from vsc_dataset import CONFIGS, TaskConfig, sample

SIZES = {"num_train": 600, "num_validation": 200, "num_test": 1_000, "num_test_programs": 100}
SMALL: dict[str, TaskConfig] = {
    "swap-nops5": replace(CONFIGS["swap-nops5"], **SIZES),
    "grid-len3": replace(CONFIGS["grid-len3"], num_test=20, grid_nops=(1, 20, 1024)),
}


@contextmanager
def small_configs(configs: dict[str, TaskConfig] = SMALL) -> Iterator[None]:
    """Let the dataset have these configurations alone."""
    with (
        mock.patch.object(vsc_dataset, "CONFIGS", configs),
        mock.patch.object(parquet, "CONFIGS", configs),
        mock.patch.object(parquet, "make_config", configs.__getitem__),
    ):
        yield


def make_dataset(folder: Path, configs: dict[str, TaskConfig] = SMALL) -> Path:
    """As `build_dataset.py` makes it, of configurations with fewer rows."""
    with small_configs(configs):
        for shard in parquet.shards_of(*configs):
            parquet.write_shard(folder, shard)
        assert parquet.write_manifest(folder) == list(configs)
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
    records = [_record(model.num_parameters(), number) for number in run["seeds"]]
    for record in records:
        append_record(folder / "trials.jsonl", record)
    curve = [
        {"samples": s, "seconds": s / 100, "train_loss": 9 / s, "val_loss": 8 / s,
         "sample_error_pct": 100.0, "mask_error_pct": 87.5} for s in (320, 640)
    ]  # fmt: skip
    rows = sample(config, "validation", range(100))
    answered = Answered(rows.questions(), rows.answers(), [text[::-1] for text in rows.answers()])
    parts = {"validation": answered, "by_nops": answered}
    write_report(folder, records, [curve, curve], parts, config.answer_width)
    return folder


def _record(parameters: int, seed: int) -> TrialRecord:
    return TrialRecord(
        recipe="swap-delta", seed=seed, parameters=parameters, samples=640, samples_to_1pct=None,
        seconds=1.25 + seed, samples_per_second=512.0, split="validation", questions=10_000,
        sample_error_pct=98.76 + seed, mask_error_pct=54.321, val_loss=3.25, test_questions=10_000,
        test_sample_error_pct=97.53, test_mask_error_pct=53.17 + seed,
        versions={"python": "3.11", "torch": "2.13"}, device="cpu, 1 threads",
        planned_samples=640, validation_seconds=0.5, data="swap-nops1-5",
    )  # fmt: skip
