"""The command: what it trains, keeps and writes; the committed tables are what it writes."""

import json
import shutil
from dataclasses import replace

import pytest

from scripts.core import trial_store
from scripts.core.trial_store import read_records, read_trials
from scripts.reporting.tables import results_table
from scripts.reproduction import pages, trials
from scripts.reproduction.experiments import TABLES, choose
from scripts.reproduction.report import table_lines
from scripts.training.train_state import Paused
from tests.commands import ROOT, Result, kill_fork_when, run_command
from tests.scripts.reporting.cases import COPY, cells
from tests.scripts.reporting.cases import record as made
from vsc_dataset import sample

ROW = "swap-delta-level-1"


ONE_TRIAL = ("ladder", "--rows", ROW, "--max-samples", 640, "--trials", 1)


def places(folder):
    return ["--hub-cards", folder / "hub", "--output-dir", folder / "runs"]


def reproduce(*flags: object) -> str:
    """Run the command to its good end, and return what it printed."""
    done = run_command("reproduce", *flags)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def refused(*flags: object) -> Result:
    """Run the command, which ends with one line."""
    done = run_command("reproduce", *flags)
    assert done.exit_code == 1
    assert done.stderr.startswith("reproduce: ")
    assert done.stderr.count("\n") == 1
    return done


def rendered(name, results):
    table = TABLES[name]
    return results_table(
        table.title, table_lines(table, results), table.columns.split(), table.against
    )


@pytest.mark.parametrize("name", TABLES)
def test_the_committed_table_is_what_the_committed_results_give(name):
    page = ROOT / "hub_cards" / "tables" / f"{name}.md"
    written, *pictures = page.read_text("utf-8").split("\n![")
    assert written == rendered(name, ROOT / "hub_cards" / "results")
    for picture in pictures:
        assert (page.parent / picture.strip().partition("](")[2].removesuffix(")")).is_file()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with a trial of a level, and what was printed."""
    folder = tmp_path_factory.mktemp("reproduce")
    reproduce(*ONE_TRIAL, *places(folder))
    return folder


def test_a_trial_leaves_line_details_table_and_pictures(done):
    hub = done / "hub"
    (record,) = read_records(hub / "results" / f"{ROW}.jsonl")
    (trial,) = read_records(done / "runs" / ROW / "640" / "trials.jsonl")
    assert record == trial
    (kept,) = read_trials(hub / "results", ROW)
    assert [point["samples"] for point in kept.details["curve"]][-1] == 640
    assert kept.details["grid"]["lost"]
    assert [row["nops"] for row in kept.details["grid"]["rows"]] == [1, 2]
    assert kept.details["floors"]["first 2"]["mask_error_pct"] == 0
    assert kept.details["questions_per_second"] > 0
    shown = cells((hub / "tables" / "ladder.md").read_text(), ROW)
    assert shown["rank"] == "at chance"
    assert shown["horizon"] == "0"
    assert shown["training samples"] == "640 of 100,000"
    assert shown["mask error %"] == f"{record.mask_error_pct:.2f}"
    assert shown["sample error % at 1,024"] == "≥99"
    pictures = {path.name for path in (hub / "figures").iterdir()}
    assert pictures == {"ladder-curves.png", "ladder-answers.png", "ladder-grid-len5.png"}


def test_more_test_questions_begin_with_those_of_the_split(done, monkeypatch):
    (record,) = read_records(done / "hub" / "results" / f"{ROW}.jsonl")
    (row,) = choose(TABLES["ladder"].rows, [ROW], 640, 1)
    row = replace(row, test_samples=2 * record.test_questions, grid=None)
    evaluated, measure = [], trials.measure
    monkeypatch.setattr(
        trials,
        "measure",
        lambda model, examples, *a: evaluated.append(examples) or measure(model, examples, *a),
    )
    found = trials.measure_details(row, done / "runs" / ROW / "640", record)["test"]
    assert found["questions"] == len(evaluated[-1]) == 2 * record.test_questions
    split = sample(row.recipe.config, "test", range(record.test_questions)).questions()
    assert evaluated[-1].questions()[: record.test_questions] == split


def test_a_row_without_a_grid_loads_no_model(done, monkeypatch):
    ((record, kept),) = read_trials(done / "hub" / "results", ROW)
    (row,) = choose(TABLES["ladder"].rows, [ROW], 640, 1)
    monkeypatch.setattr(trials, "load_trained", None)
    folder = done / "runs" / ROW / "640"
    details = trials.measure_details(replace(row, grid=None), folder, record)
    assert {"recipe", "seed", "planned_samples", "grid"} == kept.keys() - details.keys()
    assert details == {name: kept[name] for name in details}


def test_what_is_kept_is_not_done_again_wherever_the_runs_are(done, tmp_path):
    page = (done / "hub" / "tables" / "ladder.md").read_text()
    table = page.partition("\n![")[0]
    elsewhere = ("--hub-cards", done / "hub", "--output-dir", tmp_path / "elsewhere")
    assert f"{ROW}: nothing is missing" in reproduce(*ONE_TRIAL, *elsewhere)
    assert not (tmp_path / "elsewhere").exists()
    assert table in reproduce("ladder", "--report-only", "--hub-cards", done / "hub")
    assert (done / "hub" / "tables" / "ladder.md").read_text() == page


def test_other_settings_another_budget_or_a_missing_grid_are_another_trial(done):
    results = done / "hub" / "results"
    (row,) = choose(TABLES["ladder"].rows, [ROW], 640, 1)
    assert trials.missing_seeds(row, results) == []
    assert trials.missing_seeds(replace(row, trials=3), results) == [1, 2]
    assert trials.missing_seeds(replace(row, grid=None), results) == []
    assert trials.missing_seeds(replace(row, test_samples=10), results) == [0]
    for changes in ({"learning_rate": 1e-3}, {"num_samples": 1280}):
        other = replace(row, recipe=replace(row.recipe, **changes))
        assert trials.missing_seeds(other, results) == [0]
    described = replace(row, recipe=replace(row.recipe, description="Other words."))
    assert trials.missing_seeds(described, results) == []
    path = results / "details" / f"{ROW}.jsonl"
    text = path.read_text()
    line = json.loads(text)
    del line["grid"]
    path.write_text(json.dumps(line) + "\n")
    assert trials.missing_seeds(row, results) == [0]
    path.write_text(text)


def test_a_trial_of_other_settings_is_no_line_of_the_table(done, tmp_path):
    shutil.copytree(done / "hub" / "results", tmp_path / "results")
    path = tmp_path / "results" / "details" / f"{ROW}.jsonl"
    assert cells(rendered("ladder", tmp_path / "results"), ROW)["solved"] == "0 of 1 (at most 98%)"
    line = json.loads(path.read_text())
    line["settings"]["learning_rate"] = 1e-9
    path.write_text(json.dumps(line) + "\n")
    assert cells(rendered("ladder", tmp_path / "results"), ROW)["solved"] != "0 of 1 (at most 98%)"


def test_a_run_whose_model_is_gone_says_so_and_the_fix(done, tmp_path):
    shutil.copytree(done, tmp_path / "all")
    (tmp_path / "all" / "hub" / "results" / f"{ROW}.jsonl").unlink()
    shutil.rmtree(tmp_path / "all" / "runs" / ROW / "640" / "seed-0" / "model")
    error = refused(*ONE_TRIAL, *places(tmp_path / "all")).stderr
    assert "curve.json is missing though trials.jsonl lists seed 0" in error
    assert ROW in error


def test_killed_between_two_trials_it_goes_on_and_keeps_the_first_line(tmp_path):
    command = (*ONE_TRIAL[:-1], 2, *places(tmp_path))
    line = tmp_path / "hub" / "results" / f"{ROW}.jsonl"
    log = tmp_path / "runs" / ROW / "640" / "seed-1" / "log.jsonl"
    kill_fork_when(lambda: line.exists() and log.exists(), lambda: reproduce(*command))
    first = line.read_text()
    assert len(read_records(line)) == 1
    table = reproduce(*command)
    assert line.read_text().startswith(first)
    assert [record.seed for record in read_records(line)] == [0, 1]
    assert {trial.details["seed"] for trial in read_trials(line.parent, ROW)} == {0, 1}
    assert cells(table, ROW)["solved"].startswith("0 of 2 ")
    assert not [*tmp_path.rglob("*.partial")]


@pytest.mark.parametrize("name", ["ladder", "word_problem", "scorecards"])
def test_the_pages_are_written_after_whatever_is_on_them(name, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("scripts.core.io.HUB_CARDS", tmp_path / "hub")
    monkeypatch.setattr(pages, "write_pages", lambda: written.append(name))
    kept = "results/word_problem"
    shutil.copytree(ROOT / "hub_cards" / kept, tmp_path / "hub" / kept)
    (tmp_path / "hub" / "scorecards").mkdir()
    reproduce(name, "--report-only", *places(tmp_path))
    assert written == [name]


@pytest.mark.parametrize("name", ["ladder", "word_problem", "scorecards"])
def test_rows_that_match_nothing_are_one_line_where_nothing_is_trained(name, tmp_path):
    for folder in ("results", "scorecards"):
        (tmp_path / "hub" / folder).mkdir(parents=True)
    done = refused(name, "--rows", "zzz*", "--report-only", *places(tmp_path))
    assert "zzz*" in done.stderr


def test_a_row_that_a_paragraph_is_about_and_that_is_not_kept_is_one_line(tmp_path):
    results = tmp_path / "results"
    shutil.copytree(ROOT / "hub_cards" / "results", results)
    (results / "attn-00440.jsonl").unlink()
    with pytest.raises(ValueError, match=r"0 rows 'attn-00440' .* train it, or change the para"):
        pages.render_results(results)


def test_a_table_of_no_results_is_one_line(tmp_path):
    done = refused("word_problem", "--report-only", *places(tmp_path))
    assert "has no results: give another folder" in done.stderr
    (tmp_path / "hub/results").mkdir(parents=True)
    done = refused("word_problem", "--report-only", *places(tmp_path))
    assert "cells.jsonl has no line: train a cell first" in done.stderr


def test_details_that_lack_what_a_table_shows_are_one_line(tmp_path):
    shutil.copytree(ROOT / "hub_cards" / "results", tmp_path / "hub" / "results")
    path = tmp_path / "hub" / "results" / "details" / "swap-delta-same-lr0.0005.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines:
        del line["curve"]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    done = refused("same", "--report-only", *places(tmp_path))
    assert "restore the trials of the table same" in done.stderr


def test_more_samples_than_a_row_has_are_as_many_as_it_has():
    row = next(row for row in TABLES["ladder"].rows if row.name == ROW)
    assert choose([row], [], 10**9, None) == [row]


def test_a_row_that_fails_is_one_line_and_the_others_go_on(tmp_path, monkeypatch):
    def run_row(row, *_):
        if row.recipe.name == "lstm-l6":
            raise ValueError("seed 0: the loss is nan")
        record = replace(made(), recipe=row.recipe.name, planned_samples=64, samples=64)
        yield trial_store.Trial(record, {"floors": COPY})

    monkeypatch.setattr(trials, "run_row", run_row)
    done = refused("baselines", "--rows", "lstm-l6", "mamba-l6", *places(tmp_path))
    assert done.stderr == "reproduce: lstm-l6: seed 0: the loss is nan\n"
    assert cells(done.stdout, "lstm-l6")["rank"] == "not run"
    assert cells(done.stdout, "mamba-l6")["rank"] == "1"


def test_a_pause_in_a_row_still_writes_every_table_with_its_kept_trials(tmp_path, monkeypatch):
    def run_row(row, *_):
        record = replace(made(), recipe=row.recipe.name, planned_samples=64, samples=64)
        yield trial_store.Trial(record, {"floors": COPY})
        raise Paused("paused")

    monkeypatch.setattr(trials, "run_row", run_row)
    reproduce("fair_search", "--rows", "zoo-lstm", *places(tmp_path))
    for table in ("fair_search", "zoo", "zoo_longer"):
        text = (tmp_path / "hub" / "tables" / f"{table}.md").read_text("utf-8")
        assert cells(text, "zoo-lstm")["rank"] == "1"
