"""A row and a folder -> its missing trials, trained, and what is kept of each."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from scripts.core.inference import measure, predict
from scripts.core.model_loading import LoadedModel, device_name, find_device, load_model
from scripts.core.records import TrialRecord
from scripts.core.trial_store import Trial, read_trials
from scripts.evaluation.grid import evaluate_grid, horizon_of, published
from scripts.reporting.report import Answered, worst_and_best
from scripts.reproduction.rows import Row
from scripts.training.recipes import UNTRAINED, Recipe
from scripts.training.runs import RUN_FILE, each_trial, open_run, read_curve, trial_folder
from scripts.training.trials import Settings, check
from vsc_dataset import sample
from vsc_dataset.configs import TaskConfig
from vsc_dataset.metrics.vsc_error.floors import floors

ERRORS = ("sample_error_pct", "mask_error_pct")
QUESTIONS = 2000
"""Of the validation split, that answers and speed of asking are taken from."""

CLOCKS = ("seconds", "questions_per_second")
LOST_PCT = 99.0
"""A grid ends behind two numbers in a row with so many wrong answers: long rows cost most."""


def missing_seeds(row: Row, results: Path) -> list[int]:
    """The seeds that have no whole line of the row's budget and settings in the results."""
    wanted = {"curve"}
    wanted |= {"grid"} if row.grid else set()
    done = {
        trial.record.seed
        for trial in read_trials(results, row.recipe.name)
        if wanted <= trial.details.keys()
        and trial.details.get("test", {}).get("questions", 0) >= row.test_questions
        and row.recipe.same_training(Recipe.from_dict({"name": "", **trial.details["settings"]}))
    }
    return [seed for seed in row.seeds if seed not in done]


def run_row(
    row: Row, runs: Path, results: Path, jobs: int = 1, settings: Settings | None = None
) -> Iterator[Trial]:
    """Train what the results lack; a trial that was interrupted goes on.

    Args:
      row: its run is the folder ROW/SAMPLES below `runs`.
      runs, results: folders.
      jobs: trials side by side.
      settings: of each trial.
    Yields:
      Each trial as it ends.
    Raises:
      Paused, ValueError, OSError: as `check`, `open_run` and `each_trial`.
    """
    recipe, seeds = row.recipe, missing_seeds(row, results)
    if not seeds:
        return
    check(recipe)
    folder = runs / recipe.name / str(recipe.num_samples)
    open_run(recipe, folder, seeds, resume=(folder / RUN_FILE).exists())
    for record in each_trial(recipe, folder, seeds, jobs, settings):
        yield Trial(record, details(row, folder, record))


def details(row: Row, folder: Path, record: TrialRecord) -> dict[str, Any]:
    """What is kept beside a record: curve, speed, floors, answers, and where wanted a grid.

    Args:
      row: what was trained.
      folder: of the run.
      record: of one trial.
    """
    # The run has written the model's code itself.
    curve = read_curve(folder, record.seed)
    model = load_model(str(trial_folder(folder, record.seed) / "model"), trust_remote_code=True)
    model = model.to(find_device(None))
    config = row.recipe.config
    questions = sample(config, "validation", range(min(QUESTIONS, config.num_validation)))
    predict(model, questions[:64])  # a device's first call is slow
    found = measure(model, questions, row.recipe.loss)
    answered = Answered(found.questions, found.references, found.predictions)
    assert found.seconds
    return {
        "settings": {k: v for k, v in row.recipe.to_json().items() if k not in UNTRAINED},
        "device": device_name(model),
        "questions_per_second": round(len(questions) / found.seconds, 1),
        "floors": _floors(config),
        "curve": [_rounded(point) for point in curve],
        "answers": {
            title: [[*answer[:3], [int(w) for w in answer.wrong]] for answer in block]
            for title, block in worst_and_best(answered, config.answer_width).items()
        },
        **({"programs": _programs(model, row)} if "test_programs" in config.splits else {}),
        **({"grid": _grid(model, row)} if row.grid else {}),
        **({"test": _test(model, row)} if row.test_questions else {}),
    }


@lru_cache(maxsize=8)
def _floors(config: TaskConfig) -> dict[str, dict[str, float]]:
    """Both errors of answers that need no model, on all validation questions."""
    questions = sample(config, "validation", range(config.num_validation)).questions()
    found = floors(questions, config.answer_width)
    return {name: {key: rates[key] for key in ERRORS} for name, rates in found.items()}


def _programs(model: nn.Module, row: Row) -> dict[str, Any]:
    """Both errors on programs of which training had none."""
    config = row.recipe.config
    examples = sample(config, "test_programs", range(config.num_test_programs))
    rates = measure(model, examples).rates
    return {"questions": len(examples), **{key: rates[key] for key in ERRORS}}


def _test(model: nn.Module, row: Row) -> dict[str, int]:
    """How many of the first test questions are wrong; the split's own number is a prefix."""
    found = measure(model, sample(row.recipe.config, "test", range(row.test_questions)))
    wrong = round(found.rates["sample_error_pct"] * row.test_questions / 100)
    return {"questions": row.test_questions, "wrong": wrong}


def _grid(model: nn.Module, row: Row) -> dict[str, Any]:
    """The rows of the grid until all is lost, and the horizon.

    `lost` says that it ended there, and not at the longest row that the model can read.
    """
    assert row.grid is not None
    rows: list[dict[str, Any]] = []
    lost = False
    for found in evaluate_grid(LoadedModel(row.recipe.name, model, row.recipe.data), row.grid):
        rows.append(_rounded({key: found[key] for key in found if key not in CLOCKS}))
        lost = len(rows) > 1 and all(r["sample_error_pct"] >= LOST_PCT for r in rows[-2:])
        if lost:
            break
    return {
        "name": row.grid,
        "horizon": horizon_of(rows, published(row.grid)),
        "lost": lost,
        "rows": rows,
    }


def _rounded(found: Any) -> Any:
    """Six digits of every number: the rest is no information and fills the files."""
    if isinstance(found, Mapping):
        return {key: _rounded(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_rounded(value) for value in found]
    return float(f"{found:.6g}") if isinstance(found, float) else found
