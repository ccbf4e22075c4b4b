"""Finished trials -> trials.jsonl, a line each; all lines -> results.json, spreads over trials."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from scripts.core.io import replacing
from vsc_dataset.checking import nearest

SOLVED_PCT = 1.0
"""A trial with at most this sample error, in percent, counts as solved."""


@dataclass(frozen=True)
class TrialRecord:
    """A line of trials.jsonl.

    Attributes:
      recipe: its name.
      seed: of initialisation and training stream.
      parameters: trained numbers of the model.
      samples: training questions.
      samples_to_1pct: training questions at the first validation from which on all are solved.
      seconds: of training, validation left out.
      samples_per_second: training questions a second.
      split: what the figures without `test_` were measured on.
      questions: how many of it.
      sample_error_pct, mask_error_pct: at the end of training, in percent.
      val_loss: mean loss on them, in nats.
      test_questions, test_sample_error_pct, test_mask_error_pct: the same on the test split, once.
      versions: of python and libraries, by name.
      device: in words.
      planned_samples: the recipe's; an early stop leaves some of them out.
      validation_seconds: of validations on the way, which `seconds` leaves out.
      data: the configuration that was trained on; "" in lines that are older than this field.
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


MEASURED = (
    "sample_error_pct",
    "mask_error_pct",
    "samples_to_1pct",
    "seconds",
    "samples_per_second",
    "val_loss",
)
"""What is spread over trials, in the order of results.json."""

SETTING = ("recipe", "data", "parameters", "split", "questions", "samples", "test_questions")
"""What the trials of one setting have in common; a line without `data` may be of any."""

FIELDS = [field.name for field in fields(TrialRecord)]
REQUIRED = [field.name for field in fields(TrialRecord) if field.default is MISSING]
"""The others came later: lines that are older do not have them."""


def append_record(path: Path, record: TrialRecord) -> None:
    """Add a line; the file is replaced whole, without what a kill left of a last line.

    Args:
      path: trials.jsonl, made if it does not exist; one process writes it.
      record: its floats must be finite.
    Raises:
      ValueError: a float that is not finite.
    """
    line = json.dumps(asdict(record), allow_nan=False)
    text = "".join(f"{whole}\n" for whole in [*_whole_lines(path), line])
    with replacing(path) as beside:
        beside.write_text(text, "utf-8")


def read_records(path: Path) -> list[TrialRecord]:
    """The lines of trials.jsonl; a last one that a kill tore is ignored, no file has none.

    Raises:
      ValueError: a line is no JSON object, or its keys are not TrialRecord's; the message gives
        file and line.
    """
    records = []
    for number, line in enumerate(_whole_lines(path), 1):
        try:
            records.append(_parse(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return records


def _whole_lines(path: Path) -> list[str]:
    """The lines without their ends; the last one counts without an end if it is a JSON object."""
    if not path.exists():
        return []
    # A kill can cut a character in two.
    *lines, rest = path.read_text("utf-8", errors="replace").split("\n")
    return [*lines, rest] if rest.startswith("{") and _is_json(rest) else lines


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _parse(line: str) -> TrialRecord:
    """A record from its line; ValueError names an unknown or missing key."""
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError(f"{line[:40]!r} is no JSON object")
    for key in found:
        if key not in FIELDS:
            raise ValueError(f"key {key!r} is unknown: {nearest(key, FIELDS)}")
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise ValueError(f"keys {missing} are missing: delete the line and run its trial again")
    return TrialRecord(**found)


def median_trial(records: Sequence[TrialRecord]) -> TrialRecord:
    """The trial in the middle by sample error, mask error, val_loss; of two the better one.

    Raises:
      ValueError: no records.
    """
    if not records:
        raise ValueError("0 trials: at least 1 is needed")
    ranked = sorted(records, key=_badness)
    return ranked[(len(ranked) - 1) // 2]


def _badness(record: TrialRecord) -> tuple[float, ...]:
    """Many trials have no error on validation questions; their losses differ."""
    return record.sample_error_pct, record.mask_error_pct, record.val_loss, record.seed


def summarise(records: Sequence[TrialRecord]) -> dict[str, Any]:
    """The figures of one setting over its trials: how results.json begins.

    Args:
      records: trials that differ in nothing but their seed and what came of it.
    Returns:
      recipe, parameters, split, questions, then a `spread` of sample_error_pct, mask_error_pct,
      samples_to_1pct (over the trials that have one), seconds, samples_per_second and val_loss,
      then samples (of the longest trial, for some may have stopped early), test_questions, a
      `spread` of test_sample_error_pct and test_mask_error_pct (solved: on the test split), seeds,
      versions and devices (different ones, in order).
    Raises:
      ValueError: no records, or some of different settings.
    """
    first = median_trial(records)
    for name in SETTING:
        values = sorted({_setting(record, name) for record in records} - {""})
        if len(values) > 1:
            raise ValueError(f"trials have {name} {values}: summarise each setting alone")
    solved, test_solved = (
        sum(getattr(record, name) <= SOLVED_PCT for record in records)
        for name in ("sample_error_pct", "test_sample_error_pct")
    )
    return {
        **{name: getattr(first, name) for name in ("recipe", "parameters", "split", "questions")},
        **{name: spread([getattr(r, name) for r in records], solved) for name in MEASURED},
        "samples": max(record.samples for record in records),
        "test_questions": first.test_questions,
        **{
            name: spread([getattr(r, name) for r in records], test_solved)
            for name in ("test_sample_error_pct", "test_mask_error_pct")
        },
        "seeds": [record.seed for record in records],
        "versions": _distinct([dict(record.versions) for record in records]),
        "devices": _distinct([record.device for record in records]),
    }


def _setting(record: TrialRecord, name: str) -> Any:
    """A field that is the same in all trials of a setting; of samples it is those planned."""
    if name == "samples" and record.planned_samples is not None:
        name = "planned_samples"
    return getattr(record, name)


Point = Mapping[str, Any]


def samples_to(points: Sequence[Point], holds: Callable[[Point], bool]) -> int | None:
    """The samples of the first validation from which on all hold; None if the last does not.

    Args:
      points: validations in order.
      holds: whether a validation is good enough.

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
    """The samples of the first validation from which on all are solved."""
    return samples_to(points, lambda point: point["sample_error_pct"] <= SOLVED_PCT)


def spread(values: Sequence[float | None], solved: int) -> dict[str, float | int | None]:
    """Mean, median, sample standard deviation (n - 1), minimum and maximum of what is not None.

    Args:
      values: one for each trial.
      solved: the trials that are; only put beside.
    Returns:
      mean, median, std, min, max, n, solved. n counts the values; without any the first five are
      None, and std is None for a single one.

    >>> spread([1.0, None, 1.0], 2)
    {'mean': 1.0, 'median': 1.0, 'std': 0.0, 'min': 1.0, 'max': 1.0, 'n': 2, 'solved': 2}
    """
    found = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(found) if found else None,
        "median": statistics.median(found) if found else None,
        "std": statistics.stdev(found) if len(found) > 1 else None,
        "min": min(found, default=None),
        "max": max(found, default=None),
        "n": len(found),
        "solved": solved,
    }


def _distinct(values: Sequence[Any]) -> list[Any]:
    """The values in order, each once."""
    return [value for i, value in enumerate(values) if value not in values[:i]]
