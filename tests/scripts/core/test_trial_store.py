"""A kept trial is neither lost nor there twice."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.core.trial_store import keep_trial, read_trials
from tests.scripts.reporting.cases import kept, record

ROOT = Path(__file__).parents[3]


def test_many_writers_lose_no_line_and_no_trial_is_twice(tmp_path):
    def write(seed):
        trial = kept(seed % 40, float(seed >= 40))
        keep_trial(tmp_path, trial.record, trial.details)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
        list(pool.map(write, range(40, 60)))
    found = read_trials(tmp_path, "row")
    assert [trial.record.seed for trial in found] == [*range(40)]
    assert [trial.record.sample_error_pct for trial in found] == [1.0] * 20 + [0.0] * 20
    assert len((tmp_path / "details" / "row.jsonl").read_text().splitlines()) == 40


def test_lines_that_are_older_stay_as_they_are_and_a_torn_one_is_told(tmp_path):
    old = (ROOT / "hub_cards" / "results" / "swap-delta.jsonl").read_text()
    path = tmp_path / "swap-delta.jsonl"
    path.write_text(old)
    other = replace(record(), recipe="swap-delta", seed=99)
    keep_trial(tmp_path, other, {})
    assert path.read_text().startswith(old)
    assert len(path.read_text().splitlines()) == 1 + len(old.splitlines())
    path.write_text(old + '{"recipe": "swa\n')
    with pytest.raises(ValueError, match=r"swap-delta\.jsonl, line \d+: .*mend or delete it"):
        keep_trial(tmp_path, other, {})
    assert path.read_text() == old + '{"recipe": "swa\n'
