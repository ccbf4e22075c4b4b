"""Finished trials -> lines of a results folder that no second process can lose; read back.

`results/ROW.jsonl` holds a TrialRecord a line, `results/details/ROW.jsonl` what tables and pictures
need beside it: curve, answers, floors, grid.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.io import replacing
from scripts.core.records import TrialRecord, read_records


class Trial(NamedTuple):
    """A trial's figures, and what is known beside them; nothing of trials that are older."""

    record: TrialRecord
    details: Mapping[str, Any]

    @property
    def budget(self) -> int:
        """Training questions that were planned."""
        return self.record.planned_samples or self.record.samples


def keep_trial(folder: Path, record: TrialRecord, details: Mapping[str, Any]) -> None:
    """Put both lines into their files; those of the same trial that stand there are replaced.

    A trial is row, planned samples and seed. Details come first: who finds the record finds them.

    Args:
      folder: of results; made if it does not exist. Any number of processes may write.
    """
    (folder / "details").mkdir(parents=True, exist_ok=True)
    with locked(folder):
        row, samples, seed = _key(asdict(record))
        own = {"recipe": row, "seed": seed, "planned_samples": samples}
        _put(folder / "details" / f"{record.recipe}.jsonl", {**own, **details})
        _put(folder / f"{record.recipe}.jsonl", asdict(record))


def read_trials(folder: Path, row: str) -> list[Trial]:
    """The trials of a row, by budget and seed.

    Raises:
      ValueError: a line cannot be read; the message names file and line.
    """
    details = {_key(line): line for line in _lines(folder / "details" / f"{row}.jsonl")}
    records = read_records(folder / f"{row}.jsonl")
    trials = [Trial(record, details.get(_key(asdict(record)), {})) for record in records]
    return sorted(trials, key=lambda trial: (-trial.budget, trial.record.seed))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process out of a folder that takes the same lock."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _put(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line, or replace the one with its key; all others stay as they are."""
    text = path.read_text("utf-8") if path.exists() else ""
    others = [
        old for old, found in zip(text.splitlines(), _lines(path), strict=True)
        if _key(found) != _key(line)
    ]  # fmt: skip
    with replacing(path) as beside:
        beside.write_text("\n".join([*others, json.dumps(line, allow_nan=False)]) + "\n", "utf-8")


def _lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file; none where there is no file."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines() if path.exists() else [], 1):
        try:
            found.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}: mend or delete it") from None
    return found


def _key(line: Mapping[str, Any]) -> tuple[str, int, int]:
    """What makes a trial another one."""
    return line["recipe"], line.get("planned_samples") or line["samples"], line["seed"]
