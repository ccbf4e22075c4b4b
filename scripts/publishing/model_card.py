"""Render the card of a trained model."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from scripts.core.trial_store import TrialRecord, read_records
from scripts.publishing.cards import (
    LANGUAGE,
    TAGS,
    example,
    references,
    render,
    repositories,
    version,
)
from scripts.publishing.checkpoint import MASKED, Checkpoint
from scripts.publishing.reading import is_local, read_object, read_recipe
from scripts.reporting.tables import nops_table, trials_table
from scripts.training.recipes import Recipe, read_recipes
from vsc_dataset.configs import DATA_VERSION, TaskConfig, make_config

SOURCES = {
    "vsc_delta": ("fastWeights", "parallelDelta", "negativeEigenvalues", "deltaProduct"),
    "vsc_mamba": ("mamba",),
}
"""Where the layers of a model type come from: keys of references.bib."""

RESULT_KEYS = ("shown_seed", "samples", "split", "by_nops", "versions", "devices")
MEASURES = {"sample_error_pct": "sample error %", "mask_error_pct": "mask error %"}


def model_card(folder: Path, repo: str, checkpoint: Checkpoint, licence: str | None = None) -> str:
    """README.md of a trained model.

    Args:
      folder: of a finished run: run.json, results.json and trials.jsonl.
      repo: its id on the hub.
      checkpoint: its files, and what they say.
      licence: an id of the hub's list; None: Apache-2.0, where code and first weights are ours.
    """
    recipe = read_recipe(folder)
    named = _named(recipe)
    trial = shown_trial(folder)
    results = read_object(folder / "results.json", RESULT_KEYS, "give a run as train.py leaves it")
    task = make_config(recipe["data"])
    began = _began_from(recipe["model"])
    data = _model_data(folder, repo, checkpoint, recipe, licence)
    layers = () if recipe.get("mixer") else SOURCES.get(recipe["model"], ())
    return render(
        "model.md",
        data,
        name=repo.partition("/")[2],
        repo=repo,
        tag=f"v{version()}",
        auto_class=checkpoint.auto_class,
        pad_to=checkpoint.pad_to,
        parameters=trial.parameters,
        recipe=recipe,
        began=Path(began).name if is_local(began) else began,
        description=named.description if named else "",
        example=example(recipe["data"]),
        answer_width=checkpoint.answer_width,
        lengths=_range(task, "length"),
        nops=_range(task, "nops"),
        references=references("verySelectiveCopying", *layers),
        **repositories(repo),
        **_results(results),
        licence=data.license,
        layer=escape(checkpoint.layer),
        layer_version=checkpoint.layer_version,
        layers=bool(layers),
    )


def _model_data(
    folder: Path,
    repo: str,
    checkpoint: Checkpoint,
    recipe: Mapping[str, Any],
    licence: str | None,
) -> ModelCardData:
    """The YAML by which the hub finds and lists a model."""
    named, began, beside = _named(recipe), _began_from(recipe["model"]), repositories(repo)
    base_model = began if began and not is_local(began) else None
    foreign = checkpoint.has_own_code or base_model
    return ModelCardData(
        language=LANGUAGE,
        license=licence or (None if foreign else "apache-2.0"),
        library_name="transformers",
        pipeline_tag="fill-mask" if checkpoint.auto_class == MASKED else None,
        datasets=[beside["dataset_repo"]],
        metrics=[beside["metric_repo"]],
        tags=[*TAGS, named.name] if named else TAGS,
        model_name=repo.partition("/")[2],
        base_model=base_model,
        eval_results=_model_index(folder, repo),
    )


def _results(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the card tells of results.json; its texts are escaped, for a card may hold HTML."""
    versions = (", ".join(f"{name} {n}" for name, n in v.items()) for v in results["versions"])
    return {
        "results": {**results, "split": escape(results["split"])},
        "trials_table": escape(trials_table(results, markdown=True)),
        "nops_table": escape(_nops(results)),
        "versions": escape("; ".join(versions)),
        "devices": escape("; ".join(results["devices"])),
    }


def _began_from(model: str) -> str:
    """The checkpoint whose weights a training began from; empty for one from scratch."""
    checkpoint = ("/" in model or is_local(model)) and ".py:" not in model
    return model if checkpoint else ""


def _named(recipe: Mapping[str, Any]) -> Recipe | None:
    """The recipe of recipes.toml that this is; None where flags have changed a field of it.

    A field that came later was as its default says.
    """
    found = read_recipes().get(recipe["name"])
    return found if found and found.same_training(Recipe.from_dict(recipe)) else None


def shown_trial(folder: Path) -> TrialRecord:
    """The trial whose checkpoint a finished run publishes."""
    seed = json.loads((folder / "results.json").read_text("utf-8"))["shown_seed"]
    path = folder / "trials.jsonl"
    found = next((record for record in read_records(path) if record.seed == seed), None)
    if found is None:
        raise ValueError(
            f"{path} has no line of seed {seed}, the one of results.json: run it again"
        )
    return found


def _model_index(folder: Path, repo: str) -> list[EvalResult]:
    """The checkpoint's own figures, on validation and test."""
    trial, beside = shown_trial(folder), repositories(repo)
    config = read_recipe(folder)["data"]
    return [
        EvalResult(
            task_type="fill-mask",
            dataset_type=beside["dataset_repo"],
            dataset_name=f"Very Selective Copying, {config}",
            dataset_config=config,
            dataset_split=split,
            dataset_revision=f"v{DATA_VERSION}",
            metric_type=beside["metric_repo"],
            metric_name=called,
            metric_value=getattr(trial, prefix + measure),
        )
        for split, prefix in ((trial.split, ""), ("test", "test_"))
        for measure, called in MEASURES.items()
    ]


def _nops(results: Mapping[str, Any]) -> str:
    """The table by number of operations from what results.json keeps of it."""
    by_nops = {int(nops): rates for nops, rates in results["by_nops"].items()}
    names = next(iter(by_nops.values()))["floors"]
    levels = {
        name: {"by_nops": {nops: rates["floors"][name] for nops, rates in by_nops.items()}}
        for name in names
    }
    return nops_table(by_nops, levels, markdown=True)


def _range(task: TaskConfig, name: str) -> str:
    """A field of two ends in words.

    >>> _range(make_config("swap-nops1-5"), "nops")
    '1 to 5'
    """
    low, high = getattr(task, name)
    return str(low) if low == high else f"{low} to {high}"
