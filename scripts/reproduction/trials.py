"""Train a row's missing trials, and measure what is kept next to each record."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from scripts.core.devices import find_device
from scripts.core.inference import measure
from scripts.core.io import RUN_FILE, read_json
from scripts.core.model_loading import LoadedModel, load_trained
from scripts.core.trial_store import Trial, TrialRecord, read_trials
from scripts.evaluation.grid import evaluate_grid
from scripts.reporting.answers import Answered, worst_and_best
from scripts.reporting.baselines import baseline_errors
from scripts.reproduction.experiments import Row
from scripts.training.distributed import make_accelerator
from scripts.training.loop import check_recipe
from scripts.training.recipes import LABEL_FIELDS
from scripts.training.run_report import read_answers, seen_in_training
from scripts.training.runs import each_trial, open_run, read_curve, trial_folder
from scripts.training.train_state import RunOptions
from scripts.training.trial_result import ANSWERS_FILE
from vsc_dataset import sample
from vsc_dataset.metrics.vsc_error.error_rates import ERRORS, error_rates
from vsc_dataset.splits import HELD_OUT_MIN_OPS

ANSWER_SAMPLES = 2000
"""Of the validation split, that answers are taken from."""

CLOCKS = ("seconds", "questions_per_second")


def missing_seeds(row: Row, results: Path) -> list[int]:
    """Find the seeds that have no whole line of the row's budget and settings in the results."""
    wanted = {"curve", "settings"} | ({"grid"} if row.grid else set())
    wanted |= {"same_nops"} if row.same_nops else set()
    done = {
        trial.record.seed
        for trial in read_trials(results, row.recipe.name)
        if wanted <= trial.details.keys()
        and trial.details.get("test", {}).get("questions", 0) >= row.test_samples
        and trial.details["settings"]["num_samples"] == row.recipe.num_samples
        and row.matches(trial)
    }
    return [seed for seed in range(row.trials) if seed not in done]


def run_row(
    row: Row, runs: Path, results: Path, jobs: int = 1, options: RunOptions | None = None
) -> Iterator[Trial]:
    """Train what the results lack, each trial in a run's folder, ROW/SAMPLES in `runs`.

    Yields:
      Each trial as it ends; an interrupted one goes on.
    Raises:
      Paused, ValueError, OSError: as `check_recipe`, `open_run` and `each_trial`.
    """
    recipe, seeds = row.recipe, missing_seeds(row, results)
    if not seeds:
        return
    accelerator = make_accelerator(recipe.mixed_precision)
    check_recipe(recipe, seeds[0], accelerator)
    folder = runs / recipe.name / str(recipe.num_samples)
    open_run(recipe, folder, seeds, resume=(folder / RUN_FILE).exists(), accelerator=accelerator)
    for record in each_trial(recipe, folder, seeds, accelerator, jobs, options or RunOptions()):
        yield Trial(record, measure_details(row, folder, record))


def measure_details(row: Row, folder: Path, record: TrialRecord) -> dict[str, Any]:
    """Gather what is kept next to a trial's record, from what its run has saved.

    Its model is loaded for a grid or for more test samples than the split has, and else not.
    """
    config, model_folder = row.recipe.config, trial_folder(folder, record.seed) / "model"
    curve = read_curve(folder, record.seed)
    answered = read_answers(row.recipe, model_folder, record)
    first_answers = Answered(*(texts[:ANSWER_SAMPLES] for texts in answered["validation"]))
    details = {
        "settings": {k: v for k, v in row.recipe.to_json().items() if k not in LABEL_FIELDS},
        "device": record.device,
        **_throughput(model_folder, record.questions),
        "floors": baseline_errors(config, "validation", config.num_validation),
        "curve": [_rounded(point) for point in curve],
        "answers": {
            title: [[*answer[:3], [int(w) for w in answer.wrong]] for answer in block]
            for title, block in worst_and_best(first_answers, config.answer_width).items()
        },
    }
    if record.programs_questions is not None:
        errors = {key: getattr(record, f"programs_{key}") for key in ERRORS}
        details["programs"] = {"questions": record.programs_questions, **errors}
        if config.eval_nops[0] < HELD_OUT_MIN_OPS:
            details["same_nops"] = _same_nops(answered["test"], config.answer_width)
    seen = seen_in_training(row.recipe, record)
    details |= {} if seen is None else {"seen_pct": round(seen, 2)}
    if row.grid or row.test_samples:
        model = load_trained(model_folder).to(find_device(None))
        details |= {"grid": _grid(model, row)} if row.grid else {}
        details |= {"test": _test(model, row)} if row.test_samples else {}
    return details


def _same_nops(test: Answered, answer_width: int) -> dict[str, float]:
    """Count the errors of the test samples that have as many operations as held-out programs."""
    rates = error_rates(test.predictions, test.references, test.questions, answer_width)
    kept = [one for nops, one in rates["by_nops"].items() if nops >= HELD_OUT_MIN_OPS]
    questions = sum(one["questions"] for one in kept)
    errors = {key: sum(one[key] * one["questions"] for one in kept) / questions for key in ERRORS}
    return {"questions": questions, **_rounded(errors)}


def _throughput(model_folder: Path, questions: int) -> dict[str, float]:
    """Tell how fast the trial was evaluated, where its run has kept the time of one process."""
    path = model_folder / ANSWERS_FILE
    seconds = read_json(path).get("seconds") if path.exists() else None
    return {"questions_per_second": round(questions / seconds, 1)} if seconds else {}


def _test(model: nn.Module, row: Row) -> dict[str, int]:
    """Count the wrong ones of the first test samples; the split's own number is a prefix."""
    rates = measure(model, sample(row.recipe.config, "test", range(row.test_samples))).rates
    wrong = round(rates["sample_error_pct"] * row.test_samples / 100)
    return {"questions": row.test_samples, "wrong": wrong}


def _grid(model: nn.Module, row: Row) -> dict[str, Any]:
    """Evaluate a grid until the model fails; `lost`, a key of kept results, says that it did.

    The horizon follows from the rows.
    """
    assert row.grid is not None
    grid = evaluate_grid(LoadedModel(row.recipe.name, model, row.recipe.data), row.grid)
    rows = [_rounded({k: v for k, v in one.items() if k not in CLOCKS}) for one in grid["rows"]]
    failed = grid["ended"] == "failed"
    return {"name": row.grid, "lost": failed, "rows": rows}


def _rounded(value: Any) -> Any:
    """Round every number to six digits: the rest is noise and fills the files."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
