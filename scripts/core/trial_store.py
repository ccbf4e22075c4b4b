"""Store trials: a record each, and its details.

A run has its records in trials.jsonl. A folder of results has a row's records in ROW.jsonl and, in
details/ROW.jsonl, what tables and figures need as well: curve, answers, trivial baselines, grid.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from filelock import FileLock

from scripts.core.io import check_shape, has_type, is_possible, read_jsonl, read_lines, write_lines
from scripts.core.statistics import find_horizon, grid_nops
from vsc_dataset.metrics.vsc_error.error_rates import ERRORS

SETTING = (
    "recipe", "data", "parameters", "split", "questions", "test_questions", "planned_samples",
)  # fmt: skip
"""What the trials of one setting have in common."""

LOCK_FILE = ".lock"
"""In a folder of results: who holds it writes there."""

Key = tuple[Any, ...]
"""What tells the trials of a folder apart: recipe, planned samples and seed."""


@dataclass(frozen=True)
class TrialRecord:
    """A line of trials.jsonl.

    Attributes:
      seed: of initialization and training stream.
      samples: training samples; an early stop leaves some of `planned_samples` out.
      samples_to_1pct: training samples at the first validation from which on all are solved.
      seconds: of training, without `validation_seconds`.
      split: what the figures without a prefix were measured on, `questions` samples of it.
      sample_error_pct, mask_error_pct: at the end of training, in percent.
      val_loss: mean loss on them, in nats.
      test_…: the same on the test split, once.
      versions: of python and libraries, by name.
      data: the configuration that was trained on.
      programs_…: the same on held-out programs; None where the data has none, and in older lines.
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
    planned_samples: int
    validation_seconds: float
    data: str
    programs_questions: int | None = None
    programs_sample_error_pct: float | None = None
    programs_mask_error_pct: float | None = None
    scratchpad_error_pct: float | None = None

    @property
    def key(self) -> Key:
        """What makes it another trial."""
        return self.recipe, self.planned_samples, self.seed

    @property
    def setting(self) -> tuple[Any, ...]:
        """What it has in common with the other trials of its setting, see SETTING."""
        return tuple(getattr(self, name) for name in SETTING)


class Trial(NamedTuple):
    """A trial's record, and its details: its key alone for trials that are older."""

    record: TrialRecord
    details: Mapping[str, Any]


RATES = dict.fromkeys(ERRORS, float)
ROW = {"nops": int, "questions": int, "floors": {str: RATES}, **RATES}
DETAILS = {
    "settings": {"num_samples": int, "loss": str},
    "device": str,
    "questions_per_second": float,
    "floors": {str: {"mask_error_pct": float}},
    "curve": [{"samples": int, **RATES}],
    "answers": dict,
    "programs": {"questions": int, **RATES},
    "same_nops": {"questions": int, **RATES},
    "seen_pct": float,
    "grid": {"name": str, "lost": bool, "rows": [ROW]},
    "test": {"questions": int, "wrong": int},
}
"""What reports read of a trial's details; older trials have fewer."""


def append_record(path: Path, record: TrialRecord) -> None:
    """Add a line to trials.jsonl, which one process writes; what a kill left of a line goes."""
    write_lines(path, [*read_lines(path), json.dumps(asdict(record), allow_nan=False)])


def read_records(path: Path) -> list[TrialRecord]:
    """Read the lines of trials.jsonl, see `read_jsonl`; no file has none."""
    return read_jsonl(path, _parse_record)


def _parse_record(line: Mapping[str, Any]) -> TrialRecord:
    """Make a record of a line; a ValueError names a key that is unknown, missing or mistyped."""
    try:
        record = TrialRecord(**line)
    except TypeError as error:
        raise ValueError(f"it is not a trial ({error})") from None
    for name, hint in get_type_hints(TrialRecord).items():
        value = getattr(record, name)
        if not has_type(value, hint) or not is_possible(value, name):
            raise ValueError(f"{name} is {value!r:.40}")
    return record


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
    with FileLock(folder / LOCK_FILE):
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
      ValueError: a line is damaged, of another row, or of a trial that has one already, or a
        trial's details are not those of its record; it names the file.
    """
    path, details_path = folder / f"{row}.jsonl", folder / "details" / f"{row}.jsonl"
    records, lines = read_records(path), read_jsonl(details_path, _parse_details)
    _check_keys(path, row, [record.key for record in records])
    _check_keys(details_path, row, [key for key, _ in lines])
    details = dict(lines)
    records.sort(key=lambda record: (-record.planned_samples, record.seed))
    for record in records:
        line, error = details.get(record.key), record.programs_sample_error_pct
        other = (line or {}).get("programs", {}).get("sample_error_pct", math.nan)
        if line is None or (error is not None and not math.isclose(error, other, abs_tol=1e-3)):
            raise ValueError(
                f"{details_path} has no line for seed {record.seed} of {path}, or one with another "
                "error on held-out programs: restore both files, or delete the trial in both"
            )
    return [Trial(record, details[record.key]) for record in records]


def _check_keys(path: Path, row: str, keys: Sequence[Key]) -> None:
    """Raise a ValueError where a file has a trial twice or one of another row."""
    for key in keys:
        recipe, samples, seed = key
        if recipe != row:
            raise ValueError(f"{path} has a line of {recipe!r}: delete it, or give it its name")
        if keys.count(key) > 1:
            raise ValueError(
                f"{path}: seed {seed} of {samples:,} samples stands there twice: delete one"
            )


def _parse_details(line: dict[str, Any]) -> tuple[Key, dict[str, Any]]:
    """Check what reports read of a line, and return it with the trial's key."""
    for name, shape in DETAILS.items():
        if name in line:
            check_shape(line[name], shape, name)
    if "grid" in line:
        find_horizon(line["grid"]["rows"], grid_nops(line["grid"]["name"]))  # refuses a gap
    return _key(line), line


def _key(line: Mapping[str, Any]) -> Key:
    """Read the trial's key from either of its lines."""
    key = tuple(line.get(name) for name in ("recipe", "planned_samples", "seed"))
    if [type(part) for part in key] != [str, int, int]:
        raise ValueError("recipe, seed and planned_samples do not say which trial it is")
    return key
