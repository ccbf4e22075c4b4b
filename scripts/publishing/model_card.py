"""A run and its checkpoint -> the model's card, and its results as the hub lists them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from huggingface_hub import (
    EvalResult,
    EvalResultEntry,
    ModelCardData,
    eval_result_entries_to_yaml,
)

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
from scripts.publishing.reading import is_local, read_recipe
from scripts.reporting.tables import nops_table, trials_table
from scripts.training.recipes import Recipe, read_recipes
from vsc_dataset.configs import DATA_VERSION, TaskConfig, make_config

SOURCES = {
    "vsc_delta": ("fastWeights", "parallelDelta", "negativeEigenvalues", "deltaProduct"),
    "vsc_mamba": ("mamba",),
}
"""Where the layers of a model type come from: keys of references.bib."""

MEASURES = {"sample_error_pct": "sample error %", "mask_error_pct": "mask error %"}


def model_card(
    folder: Path,
    repo: str,
    parameters: int,
    answer_width: int | None,
    auto_class: str = "AutoModelForMaskedLM",
    pad_to: int | None = None,
    finished: bool = True,
) -> str:
    """README.md of a trained model.

    Args:
      folder: of a run: run.json and, once it has ended, results.json and trials.jsonl.
      repo: its id on the hub.
      parameters: of the checkpoint.
      answer_width: bytes of its answer field, where its config tells them.
      auto_class: of transformers, that loads it.
      pad_to: bytes of its rows, where it sees their padding.
      finished: the checkpoint is the run's, and not one on its way.
    """
    recipe = read_recipe(folder)
    named = _named(recipe)
    path = folder / "results.json"
    results = json.loads(path.read_text("utf-8")) if finished and path.exists() else None
    task = make_config(recipe["data"])
    beside = repositories(repo)
    began = _began_from(recipe["model"])
    layers = () if recipe.get("mixer") else SOURCES.get(recipe["model"], ())
    data = ModelCardData(
        language=LANGUAGE,
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="fill-mask" if auto_class == "AutoModelForMaskedLM" else None,
        datasets=[beside["dataset_repo"]],
        metrics=[beside["metric_repo"]],
        tags=[*TAGS, named.name] if named else TAGS,
        model_name=repo.partition("/")[2],
        base_model=began if began and not is_local(began) else None,
        eval_results=_model_index(folder, repo) if results else None,
    )
    facts: dict[str, Any] = {"parameters": parameters, "results": results}
    if results:
        facts |= {
            "trials_table": trials_table(results, markdown=True),
            "nops_table": _nops(results),
            "versions": "; ".join(
                ", ".join(f"{name} {number}" for name, number in found.items())
                for found in results["versions"]
            ),
            "devices": "; ".join(results["devices"]),
        }
    return render(
        "model.md",
        data,
        name=repo.partition("/")[2],
        repo=repo,
        tag=f"v{version()}",
        auto_class=auto_class,
        pad_to=pad_to,
        recipe=recipe,
        began=Path(began).name if is_local(began) else began,
        description=named.description if named else "",
        example=example(recipe["data"]),
        answer_width=answer_width or task.answer_width,
        lengths=_range(task, "length"),
        nops=_range(task, "nops"),
        layers=bool(layers),
        references=references("verySelectiveCopying", *layers),
        **beside,
        **facts,
    )


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
    (found,) = (record for record in read_records(folder / "trials.jsonl") if record.seed == seed)
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


def eval_results(folder: Path, repo: str) -> str:
    """The same in YAML, in the hub's newer form, which it takes for listed benchmarks alone.

    Raises:
      ValueError: the run has not ended.
    """
    if not (folder / "results.json").exists():
        raise ValueError(f"{folder} has no results.json: leave --eval-results out until it has")
    trial = shown_trial(folder)
    config = read_recipe(folder)["data"]
    entries = [
        EvalResultEntry(
            dataset_id=repositories(repo)["dataset_repo"],
            task_id=f"{config}_{measure}",
            value=getattr(trial, f"test_{measure}"),
            notes=f"{called} on test, lower is better",
        )
        for measure, called in MEASURES.items()
    ]
    return str(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False))


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
