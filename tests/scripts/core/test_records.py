"""trials.jsonl survives a kill; results.json tells the spread over trials."""

import json
import statistics
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.core.io import replacing
from scripts.core.records import (
    append_record,
    median_trial,
    read_records,
    spread,
    summarise,
)
from tests.scripts.reporting.cases import record

START = ["recipe", "parameters", "split", "questions", "sample_error_pct", "mask_error_pct"]
START += ["samples_to_1pct", "seconds", "samples_per_second"]
STATISTICS = ["mean", "median", "std", "min", "max", "n", "solved"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.jsonl"


def test_records_come_back_as_they_were_written(path):
    records = [record(seed, samples_to_1pct=seed or None, device="GPU µ") for seed in range(3)]
    for one in records:
        append_record(path, one)
    assert read_records(path) == records
    assert len(path.read_text().splitlines()) == 3
    assert [file.name for file in path.parent.iterdir()] == ["trials.jsonl"]


def test_a_torn_last_line_is_ignored_and_then_repaired_wherever_it_was_cut(path):
    append_record(path, record(0))
    whole = path.read_bytes()
    for cut in range(1, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        assert read_records(path) == [record(0)]
    append_record(path, record(1))
    assert read_records(path) == [record(0), record(1)]
    assert path.read_bytes().startswith(whole)


def test_a_record_that_lost_only_its_line_end_is_kept(path):
    append_record(path, record(0))
    path.write_bytes(path.read_bytes()[:-1])
    assert read_records(path) == [record(0)]
    append_record(path, record(1))
    assert read_records(path) == [record(0), record(1)]


def test_no_file_has_no_records(path):
    assert read_records(path) == []


def test_a_failed_write_leaves_the_file_as_it_was(path):
    append_record(path, record(0))
    before = path.read_bytes()
    with pytest.raises(ValueError):
        append_record(path, record(1, val_loss=float("nan")))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sampels": 1}, "line 2: key 'sampels' is unknown: did you mean 'samples'"),
        ({"seed": None}, "line 2: keys .'seed'. are missing"),
    ],
)
def test_unknown_and_missing_keys_are_refused_by_file_and_line(path, change, message):
    append_record(path, record(0))
    line = {key: value for key, value in {**asdict(record(1)), **change}.items() if key != "seed"}
    with path.open("a") as file:
        file.write(json.dumps(line if "seed" in change else {**line, "seed": 1}) + "\n")
    with pytest.raises(ValueError, match=message) as raised:
        read_records(path)
    assert str(path) in str(raised.value)


def test_a_broken_line_that_is_not_the_last_is_refused(path):
    append_record(path, record(0))
    path.write_text('{"recipe": "sw\n' + path.read_text())
    with pytest.raises(ValueError, match="line 1"):
        read_records(path)


def test_results_begin_as_published():
    results = summarise([record(0), record(1)])
    assert list(results)[: len(START)] == START
    for name in (*START[4:], "test_sample_error_pct", "test_mask_error_pct"):
        assert list(results[name]) == STATISTICS
    assert json.loads(json.dumps(results, allow_nan=False)) == results


@given(st.lists(st.floats(0, 100), min_size=2, max_size=12))
def test_spreads_agree_with_the_statistics_of_the_trials(errors):
    records = [record(i, sample_error_pct=error) for i, error in enumerate(errors)]
    found = summarise(records)["sample_error_pct"]
    assert found["mean"] == pytest.approx(sum(errors) / len(errors))
    assert found["std"] == pytest.approx(statistics.variance(errors) ** 0.5)
    assert found["median"] == statistics.median(errors)
    assert (found["min"], found["max"], found["n"]) == (min(errors), max(errors), len(errors))
    assert found["solved"] == sum(error <= 1 for error in errors)


def test_solved_means_at_most_one_percent_on_the_split_of_the_figure():
    errors = [(0.0, 5.0), (1.0, 0.5), (1.01, 9.0)]
    results = summarise(
        [record(i, sample_error_pct=v, test_sample_error_pct=t) for i, (v, t) in enumerate(errors)]
    )
    assert results["sample_error_pct"]["solved"] == 2
    assert results["test_sample_error_pct"]["solved"] == 1


def test_samples_to_1pct_is_spread_over_the_trials_that_have_one():
    found = summarise([record(0), record(1, samples_to_1pct=300), record(2, samples_to_1pct=500)])
    assert found["samples_to_1pct"]["mean"] == 400
    assert found["samples_to_1pct"]["n"] == 2
    assert spread([None], 0)["mean"] is None


@pytest.mark.parametrize("name", ["recipe", "parameters", "split", "questions", "samples"])
def test_different_settings_are_not_averaged(name):
    other = "other" if name in ("recipe", "split") else 7
    with pytest.raises(ValueError, match=f"trials have {name}"):
        summarise([record(0), record(1, **{name: other})])
    with pytest.raises(ValueError, match="0 trials"):
        summarise([])


def test_the_median_trial_is_the_one_in_the_middle():
    records = [record(i, sample_error_pct=e) for i, e in enumerate((9.0, 0.0, 3.0, 5.0))]
    assert median_trial(records).seed == 2
    assert median_trial(records[:3]).seed == 2
    assert median_trial(records[:1]).seed == 0
    equal = [record(i, val_loss=loss) for i, loss in enumerate((0.1, 0.3, 0.2))]
    assert median_trial(equal).seed == 2


def test_two_that_write_one_file_keep_out_of_each_others_way(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    with replacing(path) as first:
        first.write_text("first")
        monkeypatch.setattr("os.getpid", lambda: 1)
        with replacing(path) as second:
            second.write_text("sec")
        assert path.read_text() == "sec"
    assert path.read_text() == "first"
    assert [*tmp_path.iterdir()] == [path]
