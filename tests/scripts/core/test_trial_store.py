"""A trial is stored once, a kill damages nothing, and spreads are right."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scripts.core.trial_store import Trial, append_record, read_records, read_trials, save_trial
from scripts.core.trial_summary import median_trial, spread, summarize
from tests.commands import ROOT
from tests.scripts.reporting.cases import kept, record

START = ["recipe", "parameters", "split", "questions", "sample_error_pct", "mask_error_pct"]
START += ["samples_to_1pct", "seconds", "samples_per_second"]
REPEATED = "default-delta-num-householder-1"
STATISTICS = ["mean", "median", "std", "min", "max", "n", "solved"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.jsonl"


def test_records_come_back_as_they_were_written_and_a_failed_write_adds_none(path):
    records = [record(seed, samples_to_1pct=seed or None, device="GPU µ") for seed in range(3)]
    for one in records:
        append_record(path, one)
    with pytest.raises(ValueError):
        append_record(path, record(3, val_loss=float("nan")))
    assert read_records(path) == records
    assert [file.name for file in path.parent.iterdir()] == ["trials.jsonl"]


def test_a_torn_last_line_is_ignored_and_then_repaired_wherever_it_was_cut(path):
    assert read_records(path) == []  # no file
    append_record(path, record(0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])  # only the end of the line is missing
    assert read_records(path) == [record(0)]
    for cut in (*range(1, len(whole) - 1, 17), len(whole) - 2):
        path.write_bytes(whole + whole[:cut])
        assert read_records(path) == [record(0)]
    append_record(path, record(1))
    assert read_records(path) == [record(0), record(1)]
    assert path.read_bytes().startswith(whole)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sampels": 1}, "it is not a trial .*unexpected keyword argument 'sampels'"),
        ({"seed": ...}, "it is not a trial .*missing .*'seed'"),
        ({"seed": True}, "seed is True"),
        ({"samples": 6.5}, "samples is 6.5"),
        ({"val_loss": None}, "val_loss is None"),
        ({"val_loss": float("inf")}, "val_loss is inf"),
        ({"versions": []}, r"versions is \[\]"),
        ({"sample_error_pct": 250}, "sample_error_pct is 250"),
        ({"parameters": -1}, "parameters is -1"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_file_and_line(path, change, message):
    append_record(path, record(0))
    line = {key: value for key, value in {**asdict(record(1)), **change}.items() if value != ...}
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match=f"line 2: {message}") as raised:
        read_records(path)
    assert str(path) in str(raised.value)


DAMAGED = st.one_of(
    st.sampled_from(['{"foo":1}', "[]", "null", "{}", "1", '""', "\0" * 9, "", "[" * 100_000]),
    st.text().filter(lambda text: "\n" not in text),
    st.integers(1, 200).map(lambda cut: json.dumps(asdict(record(1)))[:cut]),
)


@settings(max_examples=30)
@given(DAMAGED)
@example('{"recipe": "row", "seed": null, "samples": 64}')
def test_a_damaged_line_is_a_clear_error_wherever_it_is_and_every_trial_stays(damaged):
    with TemporaryDirectory() as folder:
        trial = kept(0, 1.0)
        save_trial(Path(folder), trial.record, trial.details)
        for path in (Path(folder, "row.jsonl"), Path(folder, "details", "row.jsonl")):
            whole = path.read_text()
            path.write_text(f"{whole}{damaged}\n")
            for act in (
                lambda: read_trials(Path(folder), "row"),
                lambda: save_trial(Path(folder), kept(1, 1.0).record, {}),
            ):
                with pytest.raises(ValueError, match="repair or delete it") as raised:
                    act()
                assert f"{path}, line 2: " in str(raised.value)
            path.write_text(whole + damaged.removesuffix("}"))  # cut off by a kill
            assert read_trials(Path(folder), "row") == [trial_as_read(trial)]
            path.write_text(whole)


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda line: line["grid"].pop("rows"), "grid.rows is 'None'"),
        (lambda line: line["grid"]["rows"].pop(1), "nops 2 was not evaluated"),
        (lambda line: line["grid"]["rows"][3].update(sample_error_pct="0"), "grid.rows[3].sample_"),
        (lambda line: line["grid"].update(name="grid-len55"), "'grid-len55' is unknown"),
        (lambda line: line.update(grid=[]), "grid is '[]'"),
        (lambda line: line["floors"].update(copy=1), "floors.copy is '1'"),
        (lambda line: line["curve"][0].pop("mask_error_pct"), "curve[0].mask_error_pct is 'None'"),
        (lambda line: line["curve"][0].update(mask_error_pct=101), "mask_error_pct is '101'"),
    ],
)
def test_damaged_details_are_named_by_file_and_line(tmp_path, damage, words):
    (tmp_path / "details").mkdir()
    path = tmp_path / "details" / "swap-delta.jsonl"
    first, *_ = (ROOT / "hub_cards" / "results" / "details" / path.name).read_text().splitlines()
    line = json.loads(first)
    damage(line)
    path.write_text(f"{first}\n{json.dumps(line)}\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 2: ")) as raised:
        read_trials(tmp_path, "swap-delta")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda record, details: record.append(record[0]), "seed 0 of .* stands there twice"),
        (lambda record, details: details.append(details[0]), "seed 0 of .* stands there twice"),
        (lambda record, details: record[1].update(recipe="other"), "has a line of 'other'"),
        (lambda record, details: details.clear(), "has no line for seed 0 of"),
        (lambda record, details: details[0].pop("programs"), "or one with another error on held"),
        (
            lambda record, details: details[0]["programs"].update(sample_error_pct=9.0),
            "or one with another error on held-out",
        ),
    ],
)
def test_trials_that_contradict_each_other_are_refused(tmp_path, damage, words):
    (tmp_path / "details").mkdir()
    lines = []
    for path in (Path(f"{REPEATED}.jsonl"), Path("details", f"{REPEATED}.jsonl")):
        texts = (ROOT / "hub_cards" / "results" / path).read_text("utf-8").splitlines()
        lines.append([json.loads(text) for text in texts])
    damage(*lines)
    for folder, rows in zip((tmp_path, tmp_path / "details"), lines, strict=True):
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (folder / f"{REPEATED}.jsonl").write_text(text, "utf-8")
    with pytest.raises(ValueError, match=words) as raised:
        read_trials(tmp_path, REPEATED)
    assert str(tmp_path) in str(raised.value)


def trial_as_read(trial):
    """A trial with the key that its details are found by."""
    row, samples, seed = trial.record.key
    head = {"recipe": row, "seed": seed, "planned_samples": samples}
    return Trial(trial.record, {**head, **trial.details})


def test_results_begin_as_published():
    results = summarize([record(0), record(1)])
    assert list(results)[: len(START)] == START
    for name in (*START[4:], "test_sample_error_pct", "test_mask_error_pct"):
        assert list(results[name]) == STATISTICS
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_what_a_summary_counts():
    errors = [(0.0, 5.0), (1.0, 0.5), (1.01, 9.0)]
    records = [
        record(i, sample_error_pct=v, test_sample_error_pct=t, samples=100 + i, planned_samples=200)
        for i, (v, t) in enumerate(errors)
    ]
    found = summarize(records)
    spreads = dict(zip(STATISTICS, (0.67, 1.0, 0.58, 0.0, 1.01, 3, 2), strict=True))
    assert found["sample_error_pct"] == pytest.approx(spreads, abs=0.005)
    assert found["test_sample_error_pct"]["solved"] == 1
    assert found["samples"] == 102
    some = summarize([record(0), *(record(i, samples_to_1pct=100 * i) for i in (3, 5))])
    assert (some["samples_to_1pct"]["mean"], some["samples_to_1pct"]["n"]) == (400, 2)
    assert spread([None], 0)["mean"] is None


@pytest.mark.parametrize("name", ["recipe", "data", "parameters", "split", "planned_samples"])
def test_different_settings_are_not_averaged(name):
    other = "other" if name in ("recipe", "data", "split") else 7
    with pytest.raises(ValueError, match=f"trials have {name}"):
        summarize([record(0), record(1, **{name: other})])


def test_the_median_trial_is_the_one_in_the_middle():
    records = [record(i, sample_error_pct=e) for i, e in enumerate((9.0, 0.0, 3.0, 5.0))]
    assert [median_trial(records[:n]).seed for n in (4, 3, 1)] == [2, 2, 0]
    equal = [record(i, val_loss=loss) for i, loss in enumerate((0.1, 0.3, 0.2))]
    assert median_trial(equal).seed == 2


def test_many_writers_lose_no_line_and_no_trial_is_twice(tmp_path):
    def write(seed):
        trial = kept(seed % 40, float(seed >= 40))
        save_trial(tmp_path, trial.record, trial.details)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
        list(pool.map(write, range(40, 60)))
    found = read_trials(tmp_path, "row")
    assert [trial.record.seed for trial in found] == [*range(40)]
    assert [trial.record.sample_error_pct for trial in found] == [1.0] * 20 + [0.0] * 20
    assert len((tmp_path / "details" / "row.jsonl").read_text().splitlines()) == 40
