"""Store trials and aggregate them: a record each, its details, spreads over trials.

A run has its records in trials.jsonl. A folder of results has a row's records in ROW.jsonl and, in
details/ROW.jsonl, what tables and figures need as well: curve, answers, trivial baselines, grid.
"""

import fcntl
import json
import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from scripts.core.io import check_present, has_type, read_jsonl, read_lines, write_lines
from vsc_dataset.checking import nearest

SOLVED_PCT = 1.0
"""A trial with at most this sample error, in percent, counts as solved."""


@dataclass(frozen=True)
class TrialRecord:
    """A line of trials.jsonl.

    Attributes:
      recipe: its name.
      seed: of initialization and training stream.
      parameters: trained numbers of the model.
      samples: training samples.
      samples_to_1pct: training samples at the first validation from which on all are solved.
      seconds: of training, validation left out.
      samples_per_second: training throughput.
      split: what the figures without `test_` were measured on.
      questions: evaluated samples of it.
      sample_error_pct, mask_error_pct: at the end of training, in percent.
      val_loss: mean loss on them, in nats.
      test_questions, test_sample_error_pct, test_mask_error_pct: the same on the test split, once.
      versions: of python and libraries, by name.
      device: in words.
      planned_samples: the recipe's; an early stop leaves some of them out.
      validation_seconds: of the validations during training, which `seconds` leaves out.
      data: the configuration that was trained on; "" in lines that are older than this field.
      programs_questions, programs_sample_error_pct, programs_mask_error_pct: the same on held-out
        programs; None where the data has none, and in older lines.
      scratchpad_error_pct: validation samples with a mistake in a state or the answer, in percent;
        None of other objectives.
    """

    recipe: str
    seed: int
    parameters: int
    samples: int
    samples_to_1pct: int | None
    seconds: float
    samples_per_second: float
    split: str
    questions: int
    sample_error_pct: float
    mask_error_pct: float
    val_loss: float
    test_questions: int
    test_sample_error_pct: float
    test_mask_error_pct: float
    versions: Mapping[str, str]
    device: str
    planned_samples: int | None = None
    validation_seconds: float | None = None
    data: str = ""
    programs_questions: int | None = None
    programs_sample_error_pct: float | None = None
    programs_mask_error_pct: float | None = None
    scratchpad_error_pct: float | None = None

    @property
    def budget(self) -> int:
        """Training samples that were planned."""
        return self.planned_samples or self.samples

    @property
    def key(self) -> tuple[str, int, int]:
        """What makes it another trial: row, budget and seed."""
        return self.recipe, self.budget, self.seed

    @property
    def setting(self) -> dict[str, Any]:
        """What the trials of one setting have in common; `data` is "" in older lines."""
        names = ("recipe", "data", "parameters", "split", "questions", "test_questions")
        return {**{name: getattr(self, name) for name in names}, "samples": self.budget}


class Trial(NamedTuple):
    """A trial's record, and its details: empty for trials that are older."""

    record: TrialRecord
    details: Mapping[str, Any]

    @property
    def budget(self) -> int:
        """Training samples that were planned."""
        return self.record.budget


REQUIRED = [field.name for field in fields(TrialRecord) if field.default is MISSING]
"""The others came later: lines that are older do not have them."""

HINTS = get_type_hints(TrialRecord)


def append_record(path: Path, record: TrialRecord) -> None:
    """Add a line to trials.jsonl, which one process writes; what a kill left of a line goes.

    Raises:
      ValueError: a float that is not finite.
    """
    write_lines(path, [*read_lines(path), json.dumps(asdict(record), allow_nan=False)])


def read_records(path: Path) -> list[TrialRecord]:
    """Read the lines of trials.jsonl; no file has none.

    Raises:
      ValueError: a line is not a record, see `read_jsonl`.
    """
    return read_jsonl(path, _parse_record)


def _parse_record(line: Mapping[str, Any]) -> TrialRecord:
    """Make a record of a line; a ValueError names a key that is unknown, missing or mistyped."""
    for key, value in line.items():
        if key not in HINTS:
            raise ValueError(f"key {key!r} is unknown: {nearest(key, HINTS)}")
        if not has_type(value, HINTS[key]):
            raise ValueError(f"{key} is {value!r}")
    check_present(dict(line), REQUIRED)
    return TrialRecord(**line)


def save_trial(folder: Path, record: TrialRecord, details: Mapping[str, Any]) -> None:
    """Write both lines of a trial into a folder of results, in place of those that it has.

    Any number of processes may write. Details come first: where the record is, they are.
    """
    (folder / "details").mkdir(parents=True, exist_ok=True)
    recipe, samples, seed = record.key
    head = {"recipe": recipe, "seed": seed, "planned_samples": samples}
    lines = {
        folder / "details" / f"{recipe}.jsonl": {**head, **details},
        folder / f"{recipe}.jsonl": asdict(record),
    }
    with lock_folder(folder):
        texts = {path: _with_line(path, line) for path, line in lines.items()}
        for path, text in texts.items():
            write_lines(path, text)


def _with_line(path: Path, line: Mapping[str, Any]) -> list[str]:
    """Add a line after those of other trials, which stay as they are."""
    keys = read_jsonl(path, _key)
    others = [text for text, key in zip(read_lines(path), keys, strict=True) if key != _key(line)]
    return [*others, json.dumps(line, allow_nan=False)]


def read_trials(folder: Path, row: str) -> list[Trial]:
    """Read the trials of a row, by budget and seed.

    Raises:
      ValueError: a line cannot be read; the message names file and line.
    """
    pairs = read_jsonl(folder / "details" / f"{row}.jsonl", lambda line: (_key(line), line))
    details = dict(pairs)
    records = read_records(folder / f"{row}.jsonl")
    trials = [Trial(record, details.get(record.key, {})) for record in records]
    return sorted(trials, key=lambda trial: (-trial.budget, trial.record.seed))


def _key(line: Mapping[str, Any]) -> tuple[str, int, int]:
    """Read the trial's key from either of its lines."""
    samples = line.get("planned_samples") or line.get("samples")
    recipe, seed = line.get("recipe"), line.get("seed")
    if not (isinstance(recipe, str) and type(samples) is int and type(seed) is int):
        raise ValueError("recipe, seed and planned_samples do not say which trial it is")
    return recipe, samples, seed


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock every other process out of a folder that takes the same lock."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def median_trial(records: Sequence[TrialRecord]) -> TrialRecord:
    """Choose the trial in the middle; of two the better one.

    Many trials have no error on validation samples; their losses differ.
    """
    if not records:
        raise ValueError("0 trials: at least 1 is needed")
    by_error = sorted(
        records, key=lambda r: (r.sample_error_pct, r.mask_error_pct, r.val_loss, r.seed)
    )
    return by_error[(len(by_error) - 1) // 2]


def group_by_setting(records: Iterable[TrialRecord]) -> list[list[TrialRecord]]:
    """Put the records of each setting together, in the order of their first ones."""
    groups: dict[tuple[Any, ...], list[TrialRecord]] = {}
    for record in records:
        groups.setdefault(tuple(record.setting.values()), []).append(record)
    return list(groups.values())


SPREAD = (
    "sample_error_pct",
    "mask_error_pct",
    "samples_to_1pct",
    "seconds",
    "samples_per_second",
    "val_loss",
)
"""What is spread over trials, in the order of results.json."""


def summarize(records: Sequence[TrialRecord]) -> dict[str, Any]:
    """Aggregate the trials of one setting: how results.json begins.

    Returns:
      recipe, parameters, split, questions, then a `spread` of each of SPREAD (of samples_to_1pct
      over the trials that have one), samples (of the longest trial, for some may have stopped
      early), test_questions, a `spread` of both test errors (solved: on the test split), seeds,
      versions and devices (different ones, in order).
    Raises:
      ValueError: no records, or some of different settings.
    """
    first = median_trial(records)
    for name in first.setting:
        values = sorted({record.setting[name] for record in records} - {""})
        if len(values) > 1:
            raise ValueError(f"trials have {name} {values}: summarize each setting alone")

    def spreads(names: Sequence[str], error: str) -> dict[str, Any]:
        solved = sum(getattr(record, error) <= SOLVED_PCT for record in records)
        return {name: spread([getattr(r, name) for r in records], solved) for name in names}

    tests = ("test_sample_error_pct", "test_mask_error_pct")
    has_states = first.scratchpad_error_pct is not None
    return {
        **{name: getattr(first, name) for name in ("recipe", "parameters", "split", "questions")},
        **spreads(SPREAD, "sample_error_pct"),
        "samples": max(record.samples for record in records),
        "test_questions": first.test_questions,
        **spreads(tests, "test_sample_error_pct"),
        **(spreads(["scratchpad_error_pct"], "scratchpad_error_pct") if has_states else {}),
        "seeds": [record.seed for record in records],
        "versions": _distinct([dict(record.versions) for record in records]),
        "devices": _distinct([record.device for record in records]),
    }


Point = Mapping[str, Any]


def samples_to(points: Sequence[Point], holds: Callable[[Point], bool]) -> int | None:
    """Find the samples of the first validation from which on all hold; None if the last does not.

    >>> curve = [{"samples": i, "error": error} for i, error in enumerate((9, 1, 0))]
    >>> samples_to(curve, lambda point: point["error"] <= 1)
    1
    >>> samples_to([*curve, {"samples": 3, "error": 2}], lambda point: point["error"] <= 1)
    """
    samples = None
    for point in reversed(points):
        if not holds(point):
            break
        samples = point["samples"]
    return samples


def samples_to_solved(points: Sequence[Point]) -> int | None:
    """Find the samples of the first validation from which on all are solved."""
    return samples_to(points, lambda point: point["sample_error_pct"] <= SOLVED_PCT)


def spread(values: Sequence[float | None], solved: int = 0) -> dict[str, float | int | None]:
    """Compute mean, median, sample standard deviation (n - 1), minimum and maximum.

    None does not count: n is the number of values; without any the first five are None, and std is
    None for a single one. `solved`, a number of trials, is passed on.

    >>> spread([1.0, None, 1.0], 2)
    {'mean': 1.0, 'median': 1.0, 'std': 0.0, 'min': 1.0, 'max': 1.0, 'n': 2, 'solved': 2}
    """
    numbers = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(numbers) if numbers else None,
        "median": statistics.median(numbers) if numbers else None,
        "std": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "n": len(numbers),
        "solved": solved,
    }


def _distinct(values: Sequence[Any]) -> list[Any]:
    """List the values in order, each once."""
    return [value for i, value in enumerate(values) if value not in values[:i]]
