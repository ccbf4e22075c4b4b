"""Runs: a folder with all trials of a recipe, each done once."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from scripts.core.io import RUN_FILE, check_shape, explain_damage, read_json, write_lines
from scripts.core.trial_store import DETAILS, TrialRecord, append_record, read_records
from scripts.training.checkpoints import cannot_write, remove_checkpoints
from scripts.training.distributed import Accelerator, from_main
from scripts.training.jobs import run_jobs
from scripts.training.model_factory import code_of
from scripts.training.recipes import Recipe, recipe_flag
from scripts.training.train_state import DEFAULTS, Job, Paused, RunOptions
from scripts.training.trial_result import CURVE_FILE
from vsc_models.import_utils import split_target

TRIALS_FILE = "trials.jsonl"
LOCK_FILE = "run.lock"
RUNS = Path("runs")
LOCKS: dict[Path, FileLock] = {}
"""Of the folders that this process trains into, until it ends."""


def open_run(
    recipe: Recipe,
    output_dir: Path | None,
    seeds: Sequence[int] | None,
    resume: bool,
    accelerator: Accelerator,
) -> tuple[Path, list[int]]:
    """Make or find the folder of a run, and the seeds of its trials; the same in every process.

    Without `output_dir` it is the next number below runs/, or to `resume` the newest run. `seeds`
    that a resumed run does not have extend it; None takes those that it has, else seed 0.

    Raises:
      ValueError: the folder holds a run and `resume` is not set, holds another recipe's run, or
        there is nothing to resume.
    """
    return from_main(accelerator, lambda: _open(recipe, output_dir, seeds, resume))


def _open(
    recipe: Recipe, output_dir: Path | None, seeds: Sequence[int] | None, resume: bool
) -> tuple[Path, list[int]]:
    """Do what `open_run` says, in the main process."""
    code, earlier = code_of(recipe), list[int]()
    folder = output_dir or (_newest(recipe.name) if resume else _next(recipe.name))
    if (folder / RUN_FILE).exists():
        if not resume:
            raise ValueError(f"{folder} holds a run: add --resume or choose another --output-dir")
        earlier = _check_same(folder / RUN_FILE, recipe, code)
    elif resume:
        raise ValueError(f"{folder} holds no run to resume: leave --resume out")
    elif folder.is_dir() and any(
        path.suffix != ".partial" and path.name != LOCK_FILE for path in folder.iterdir()
    ):
        raise ValueError(f"{folder} is not empty: choose another --output-dir")
    wanted = seeds if seeds is not None else earlier or [0]
    all_seeds = [*earlier, *(seed for seed in wanted if seed not in earlier)]
    run = {"recipe": recipe.to_json(), "seeds": all_seeds} | ({"code": code} if code else {})
    claim_folder(folder, RUN_FILE, json.dumps(run, indent=2))
    return folder, all_seeds


def claim_folder(folder: Path, file: str, text: str) -> None:
    """Lock a folder until this process ends, and write the file that says what it holds.

    Raises:
      ValueError: another process trains into it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = LOCKS.setdefault(folder.resolve(), FileLock(folder.resolve() / LOCK_FILE))
        if not lock.is_locked:
            lock.acquire(blocking=False)
        write_lines(folder / file, [text])
    except Timeout:
        raise ValueError(
            f"{folder} is being trained by another process: wait for its end or choose another "
            "--output-dir"
        ) from None
    except OSError as error:
        raise cannot_write(folder, error, "choose another --output-dir") from None


def _check_same(path: Path, recipe: Recipe, code: Mapping[str, str]) -> list[int]:
    """Read a run's seeds; ValueError where it has another recipe or another layer's file."""
    run = {"code": code, **read_json(path, (), hint := "choose another --output-dir")}
    try:
        check_shape(run, {"recipe": dict, "seeds": [int], "code": dict}, "run")
        earlier = Recipe.from_dict(run["recipe"]).to_json()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}: {hint}") from None
    for key, value in recipe.to_json().items():
        if key != "description" and earlier[key] != value:
            raise ValueError(
                f"{path.parent} holds a run with {recipe_flag(key)} {earlier[key]!r}, not "
                f"{value!r}: resume it with the same settings or {hint}"
            )
    for kind, digest in code.items():
        if run["code"].get(kind) != digest:
            file, _ = split_target(getattr(recipe, kind))
            raise ValueError(
                f"{file}: the layer's file has changed since {path.parent} was begun: undo that "
                f"or {hint}"
            )
    return [*run["seeds"]]


def _numbered() -> dict[int, Path]:
    """Find the folders runs/NNN-NAME by their numbers."""
    matches = ((re.fullmatch(r"(\d+)-.*", path.name), path) for path in RUNS.glob("*-*"))
    return {int(match[1]): path for match, path in matches if match}


def _newest(name: str) -> Path:
    """Find the run of this recipe with the highest number."""
    runs = {n: path for n, path in _numbered().items() if path.name.partition("-")[2] == name}
    if not runs:
        raise ValueError(f"{RUNS} holds no run of {name!r} to resume: leave --resume out")
    return runs[max(runs)]


def _next(name: str) -> Path:
    """Make a new folder runs/NNN-NAME; a number that another run takes meanwhile is left to it."""
    RUNS.mkdir(exist_ok=True)
    for number in count(max(_numbered(), default=0) + 1):
        try:
            (folder := RUNS / f"{number:03d}-{name}").mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError  # numbers do not end


def each_trial(
    recipe: Recipe,
    folder: Path,
    seeds: list[int],
    accelerator: Accelerator,
    jobs: int = 1,
    options: RunOptions = DEFAULTS,
) -> Iterator[TrialRecord]:
    """Run each trial that trials.jsonl does not have, and give the records of all.

    A ValueError or Paused names all that did not end, and comes after those that went on.
    """
    path = folder / TRIALS_FILE
    records = from_main(accelerator, lambda: {one.seed: one for one in read_records(path)})
    if accelerator.is_main_process:
        for seed in records:  # a kill after its record may have left some
            remove_checkpoints(trial_folder(folder, seed))
    yield from (records[seed] for seed in seeds if seed in records)
    todo = [
        Job(recipe, seed, trial_folder(folder, seed), f"{recipe.name} {number}/{len(seeds)}")
        for number, seed in enumerate(seeds, 1)
        if seed not in records
    ]
    if todo:
        _check_samples(recipe, folder, records.values(), options.final_samples)
    failed, paused = list[str](), list[str]()
    for job, result in run_jobs(todo, jobs, accelerator, options):
        if isinstance(result, OSError):  # the others could not be written either
            raise OSError(f"seed {job.seed}: {result}") from result
        if isinstance(result, Paused):
            paused.append(str(result))
        elif isinstance(result, ValueError):
            failed.append(f"seed {job.seed}: {result}")
        else:
            if accelerator.is_main_process:
                append_record(path, result)
                remove_checkpoints(job.folder)
            yield result
    if paused or failed:
        raise (Paused if paused else ValueError)("; ".join([*failed, *paused]))


def _check_samples(
    recipe: Recipe, folder: Path, records: Iterable[TrialRecord], final_samples: int | None
) -> None:
    """Raise a ValueError where finished trials were evaluated on another number of samples."""
    rows = min(final_samples or 2**63, recipe.config.num_validation)
    for record in records:
        if record.questions != rows:
            raise ValueError(
                f"{folder} has trials evaluated on {record.questions} samples, not {rows}: give "
                f"--final-samples {record.questions} or choose another --output-dir"
            )


def trial_folder(folder: Path, seed: int) -> Path:
    """Return where a trial keeps its checkpoints, model and curve."""
    return folder / f"seed-{seed}"


def read_curve(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Read the points of a finished trial's curve; a ValueError names what is gone or damaged."""
    path = trial_folder(folder, seed) / "model" / CURVE_FILE
    hint = f"delete the line of seed {seed} in {TRIALS_FILE} and --resume to train it again"
    if not path.exists():
        raise ValueError(f"{path} is missing though {TRIALS_FILE} lists seed {seed}: {hint}")
    with explain_damage(path, hint):
        curve: list[dict[str, Any]] = json.loads(path.read_text("utf-8", errors="replace"))
        check_shape(curve, DETAILS["curve"], "curve")
    return curve
