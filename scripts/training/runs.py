"""A recipe, a folder and seeds -> all trials of a run, each done once."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.reporting.records import TrialRecord, append_record, read_records
from scripts.training.processes import is_main_process, share
from scripts.training.recipes import Recipe
from scripts.training.trials import run_trial

RECIPE_FILE = "recipe.json"
TRIALS_FILE = "trials.jsonl"


def open_run(recipe: Recipe, output_dir: Path | None, resume: bool) -> Path:
    """The folder of a run, made or found; the same in every process.

    Args:
      recipe: is written into the folder.
      output_dir: None takes the next number below runs/, or with `resume` the newest run.
      resume: go on with what the folder holds.
    Raises:
      ValueError: the folder holds a run and `resume` is not set, holds another recipe's run, or
        there is nothing to resume.
    """
    outcome: Path | str = ""
    if is_main_process():
        try:
            outcome = _open(recipe, output_dir, resume)
        except (ValueError, OSError) as error:
            outcome = str(error)  # every process must hear of it, or the others wait for ever
    outcome = share(outcome)
    if isinstance(outcome, str):
        raise ValueError(outcome)
    return outcome


def _open(recipe: Recipe, output_dir: Path | None, resume: bool) -> Path:
    """`open_run` in the main process."""
    folder = output_dir or _numbered(recipe.name, resume)
    written = folder / RECIPE_FILE
    if not written.exists():
        if resume:
            raise ValueError(f"{folder} holds no run to resume: leave --resume out")
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty: choose another --output-dir")
        folder.mkdir(parents=True, exist_ok=True)
        beside = written.with_suffix(".partial")
        beside.write_text(json.dumps(recipe.to_json(), indent=2) + "\n", "utf-8")
        os.replace(beside, written)
        return folder
    if not resume:
        raise ValueError(f"{folder} holds a run: add --resume or choose another --output-dir")
    found = json.loads(written.read_text("utf-8"))
    for key, value in json.loads(json.dumps(recipe.to_json())).items():
        if found.get(key) != value:
            raise ValueError(
                f"{folder} holds a run with {key} {found.get(key)!r}, not {value!r}: "
                "resume it with the same settings or choose another --output-dir"
            )
    return folder


def _numbered(name: str, resume: bool) -> Path:
    """runs/NNN-name: the next number, or the newest run of this recipe."""
    runs = Path("runs")
    taken = sorted(path for path in runs.glob("[0-9][0-9][0-9]-*") if path.is_dir())
    if resume:
        own = [path for path in taken if path.name[4:] == name]
        if not own:
            raise ValueError(f"{runs} holds no run of {name!r} to resume: leave --resume out")
        return own[-1]
    number = int(taken[-1].name[:3]) + 1 if taken else 1
    return runs / f"{number:03d}-{name}"


def run_trials(recipe: Recipe, folder: Path, seeds: list[int]) -> Iterator[TrialRecord]:
    """Run each trial that trials.jsonl does not have, and yield the records of all."""
    done: dict[int, TrialRecord] = {}
    if (folder / TRIALS_FILE).exists():
        done = {record.seed: record for record in read_records(folder / TRIALS_FILE)}
    done = share(done)
    for number, seed in enumerate(seeds, 1):
        if seed not in done:
            label = f"{recipe.name} {number}/{len(seeds)}"
            done[seed] = run_trial(recipe, seed, trial_folder(folder, seed), label)
            if is_main_process():
                append_record(folder / TRIALS_FILE, done[seed])
        yield done[seed]


def trial_folder(folder: Path, seed: int) -> Path:
    """Where a trial keeps its checkpoints, model and curve."""
    return folder / f"seed-{seed}"


def read_curve(folder: Path, seed: int) -> list[dict[str, Any]]:
    """The points of a finished trial's curve."""
    path = trial_folder(folder, seed) / "model" / "curve.json"
    curve: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return curve
