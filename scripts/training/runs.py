"""Runs: a folder with all trials of a recipe, each done once."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.core.io import replace_file
from scripts.core.trial_store import TrialRecord, append_record, read_records
from scripts.training.checkpoints import remove_all
from scripts.training.distributed import broadcast
from scripts.training.jobs import Job, run_in_processes, run_in_turn
from scripts.training.loop import SeededModel
from scripts.training.model_factory import code_of
from scripts.training.recipes import Recipe
from scripts.training.train_state import Paused, RunOptions
from scripts.training.trial_result import CURVE_FILE
from vsc_models.import_utils import split

if TYPE_CHECKING:
    from scripts.training.distributed import Accelerator

RUN_FILE = "run.json"
TRIALS_FILE = "trials.jsonl"
RUNS = Path("runs")
LOCKED: dict[tuple[int, int], int] = {}
"""The folders that this process has locked, by device and inode."""


def open_run(
    recipe: Recipe,
    output_dir: Path | None,
    seeds: Sequence[int] | None,
    resume: bool,
    accelerator: "Accelerator",
) -> tuple[Path, list[int]]:
    """Make or find the folder of a run, and the seeds of its trials; the same in every process.

    Args:
      recipe: is written into the folder.
      output_dir: None takes the next number below runs/, or with `resume` the newest run.
      seeds: of the trials; None takes those of the run that is resumed, else one trial of seed 0.
        More of them extend a run.
      resume: go on with what the folder holds.
      accelerator: of all processes.
    Raises:
      ValueError: the folder holds a run and `resume` is not set, holds another recipe's run, or
        there is nothing to resume.
    """
    outcome: tuple[Path, list[int]] | str = ""
    if accelerator.is_main_process:
        try:
            outcome = _open(recipe, output_dir, seeds, resume)
        except (ValueError, OSError) as error:
            outcome = str(error)  # every process must hear of it, or the others wait for ever
    outcome = broadcast(accelerator, outcome)
    if isinstance(outcome, str):
        raise ValueError(outcome)
    return outcome


def _open(
    recipe: Recipe, output_dir: Path | None, seeds: Sequence[int] | None, resume: bool
) -> tuple[Path, list[int]]:
    """`open_run` in the main process."""
    code = code_of(recipe)
    folder = output_dir or (_newest(recipe.name) if resume else _next(recipe.name))
    written = folder / RUN_FILE
    earlier: list[int] = []
    if folder.is_file():
        raise ValueError(f"{folder} is a file: choose another --output-dir")
    if written.exists():
        if not resume:
            raise ValueError(f"{folder} holds a run: add --resume or choose another --output-dir")
        earlier = _check_same(written, recipe, code)
    elif resume:
        raise ValueError(f"{folder} holds no run to resume: leave --resume out")
    elif folder.exists() and any(path.suffix != ".partial" for path in folder.iterdir()):
        raise ValueError(f"{folder} is not empty: choose another --output-dir")
    wanted = seeds if seeds is not None else earlier or [0]
    all_seeds = [*earlier, *(seed for seed in wanted if seed not in earlier)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _lock(folder)
        with replace_file(written) as tmp_path:
            run = {"recipe": recipe.to_json(), "seeds": all_seeds} | (
                {"code": code} if code else {}
            )
            tmp_path.write_text(json.dumps(run, indent=2) + "\n", "utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"{folder} cannot be written ({reason}): choose another --output-dir"
        ) from None
    return folder, all_seeds


def _lock(folder: Path) -> None:
    """Keep other processes from training into the folder, as long as this one lives."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    handle = os.open(folder, os.O_RDONLY)
    stat = os.fstat(handle)
    if (stat.st_dev, stat.st_ino) in LOCKED:
        os.close(handle)
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ValueError(
            f"{folder} is being trained by another process: wait for its end or choose another "
            "--output-dir"
        ) from None
    except OSError:  # a file system without locks
        os.close(handle)
        return
    LOCKED[stat.st_dev, stat.st_ino] = handle


def _check_same(written: Path, recipe: Recipe, code: Mapping[str, str]) -> list[int]:
    """The seeds of a run; ValueError where it has another recipe or another layer's file."""
    try:
        run = json.loads(written.read_text("utf-8"))
        earlier = Recipe.from_dict(run["recipe"]).to_json()
        seeds = [int(seed) for seed in run["seeds"]]
    except json.JSONDecodeError as error:
        raise ValueError(f"{written} is no JSON ({error}): choose another --output-dir") from None
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{written} does not say recipe and seeds: choose another --output-dir"
        ) from None
    for key, value in recipe.to_json().items():
        if key != "description" and earlier[key] != value:
            raise ValueError(
                f"{written.parent} holds a run with {key} {earlier[key]!r}, not "
                f"{value!r}: resume it with the same settings or choose another --output-dir"
            )
    for kind, digest in code.items():
        if run.get("code", code).get(kind) != digest:
            file, _ = split(getattr(recipe, kind))
            raise ValueError(
                f"{file}: the layer's file has changed since {written.parent} was begun: undo that "
                "or choose another --output-dir"
            )
    return seeds


def _numbered() -> dict[int, Path]:
    """The folders runs/NNN-NAME by their numbers."""
    matches = ((re.fullmatch(r"(\d+)-.*", path.name), path) for path in RUNS.glob("*-*"))
    return {int(match[1]): path for match, path in matches if match}


def _newest(name: str) -> Path:
    """The run of this recipe with the highest number."""
    own = [n for n, path in _numbered().items() if path.name.partition("-")[2] == name]
    if not own:
        raise ValueError(f"{RUNS} holds no run of {name!r} to resume: leave --resume out")
    return _numbered()[max(own)]


def _next(name: str) -> Path:
    """A new folder runs/NNN-NAME; a number that another run takes meanwhile is left to it."""
    for number in count(max(_numbered(), default=0) + 1):
        folder = RUNS / f"{number:03d}-{name}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.exists():  # runs itself is a file
                raise
        else:
            return folder
    raise AssertionError  # numbers do not end


def run_trials(recipe: Recipe, folder: Path, seeds: list[int], *args: Any) -> list[TrialRecord]:
    """Return the records of `each_trial` in the order of `seeds`."""
    records = {record.seed: record for record in each_trial(recipe, folder, seeds, *args)}
    return [records[seed] for seed in seeds]


def each_trial(
    recipe: Recipe,
    folder: Path,
    seeds: list[int],
    accelerator: "Accelerator",
    jobs: int = 1,
    options: RunOptions | None = None,
    built: SeededModel | None = None,
) -> Iterator[TrialRecord]:
    """Run each trial that trials.jsonl does not have, and give the records of all.

    Args:
      recipe, folder, seeds: as `open_run` gave them.
      accelerator: of all processes.
      jobs: trials side by side; this process alone writes trials.jsonl.
      options: of each trial.
      built: see `run_trial`.
    Yields:
      Those that are there, then each as it ends.
    Raises:
      Paused: the deadline came before all were done; the message names those that failed, too.
      ValueError, OSError: trials failed, which keeps none of the others from their end; the
        message names each with its seed.
    """
    options = options or RunOptions()
    records = {record.seed: record for record in read_records(folder / TRIALS_FILE)}
    records = broadcast(accelerator, records)
    todo = [
        Job(seed, trial_folder(folder, seed), f"{recipe.name} {number}/{len(seeds)}")
        for number, seed in enumerate(seeds, 1)
        if seed not in records
    ]
    if accelerator.is_main_process:
        for seed in records:  # a kill after its record may have left some
            remove_all(trial_folder(folder, seed))
    yield from (records[seed] for seed in seeds if seed in records)
    if jobs > 1:
        outcomes = run_in_processes(recipe, todo, jobs, options)
    else:
        outcomes = run_in_turn(recipe, todo, accelerator, options, built)
    failed: list[str] = []
    paused: list[str] = []
    for seed, result in outcomes:
        if isinstance(result, OSError):
            raise OSError(f"seed {seed}: {result}") from result  # the others have no room either
        if isinstance(result, Paused):
            paused.append(str(result))
        elif isinstance(result, ValueError):
            failed.append(f"seed {seed}: {result}")
        else:
            if accelerator.is_main_process:
                append_record(folder / TRIALS_FILE, result)
                remove_all(trial_folder(folder, seed))
            yield result
    if paused:
        raise Paused("; ".join([*failed, *paused]))
    if failed:
        raise ValueError("; ".join(failed))


def trial_folder(folder: Path, seed: int) -> Path:
    """Where a trial keeps its checkpoints, model and curve."""
    return folder / f"seed-{seed}"


def read_curve(folder: Path, seed: int) -> list[dict[str, Any]]:
    """The points of a finished trial's curve.

    Raises:
      ValueError: the trial has a record but its model is gone.
    """
    path = trial_folder(folder, seed) / "model" / CURVE_FILE
    if not path.exists():
        raise ValueError(
            f"{path} is missing though {TRIALS_FILE} lists seed {seed}: delete its line there and "
            "--resume to train it again"
        )
    curve: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    return curve
