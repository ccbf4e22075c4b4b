"""Tables come from kept trials alone, and a kept trial is neither lost nor done twice."""

import json
import os
import runpy
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.reporting import kept_trials
from scripts.reporting.article_tables import article_table
from scripts.reporting.kept_trials import keep_trial, read_trials
from scripts.reporting.records import read_records
from scripts.reporting.table_lines import best_of, ranked, split_budgets
from scripts.reproducing import trials
from scripts.reproducing.report import render, table_lines
from scripts.reproducing.rows import Table, choose, read_article, read_rows, read_tables
from scripts.training.recipes import find_recipe
from tests.scripts.reporting.cases import record as made
from vsc_dataset import sample

ROOT = Path(__file__).parents[2]
TABLES = read_tables()
COPY = {"copy": {"mask_error_pct": 77.5}, "guess": {"mask_error_pct": 80.0}}
ROW = "swap-delta-level-1"


def here(*flags):
    """Run the command in this process: a fresh one spends its time on imports."""
    path = ROOT / "scripts" / "reproduce.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(path), *map(str, flags)])
        patch.setattr(sys, "path", [str(path.parent), *sys.path])
        runpy.run_path(str(path), run_name="__main__")


def places(folder):
    return ["--hub-cards", folder / "hub", "--output-dir", folder / "runs"]


def cells(text, row):
    """The cells of a row of a Markdown table, by header."""
    lines = [[c.strip() for c in ln.strip("|").split("|")] for ln in text.splitlines() if "|" in ln]
    (found,) = [line for line in lines if line[0] == row]
    return dict(zip(lines[0], found, strict=True))


@pytest.mark.parametrize("name", TABLES)
def test_the_committed_table_is_what_the_committed_results_give(name):
    written = (ROOT / "hub_cards" / "tables" / f"{name}.md").read_text("utf-8")
    assert written == render(TABLES[name], ROOT / "hub_cards" / "results")


def test_every_row_of_the_article_stands_in_its_table():
    found = {
        row.recipe.name: (name, row.full)
        for name, table in TABLES.items()
        for row in read_rows(table) if row.article
    }  # fmt: skip
    assert found == {row["id"]: (row["table"], 4_000_000) for row in read_article()}
    padded = next(r for r in read_rows(TABLES["mixed_nops"]) if r.recipe.name.endswith("-seen"))
    assert padded.recipe.model_args["mask_padding"] is False
    assert padded.recipe.model_args["num_layers"] == 6
    names = [row.recipe.name for row in read_rows(TABLES["zoo"])]
    assert names[:2] == ["swap-delta", "zoo-delta"]
    assert len(names) > 15
    ladder = [(row.recipe.data, row.grid) for row in read_rows(TABLES["ladder"])]
    assert [*dict.fromkeys(data for data, _ in ladder)] == [f"level-{n}" for n in range(1, 9)]
    assert ("level-8", "grid-all-len26") in ladder


def test_a_table_with_learning_rates_has_a_row_for_each_but_its_own_has_no_other_name():
    rows = {row.recipe.name: row.recipe for row in read_rows(TABLES["fair_search"])}
    assert len(rows) == 36
    assert [*rows][:3] == ["zoo-delta-lr0.0005", "zoo-delta", "zoo-delta-lr0.008"]
    assert [recipe.learning_rate for recipe in rows.values()] == [5e-4, 2e-3, 8e-3] * 12
    assert rows["zoo-delta"] == replace(find_recipe("zoo-delta"), num_samples=100_000)


def test_the_fair_rows_are_the_best_of_their_six_on_validation():
    results = ROOT / "hub_cards" / "results"
    rows = read_rows(TABLES["fair_search"])
    chosen = [row.recipe.name for row in read_rows(TABLES["fair"])]
    for number, name in enumerate(chosen):
        six = rows[6 * number : 6 * number + 6]
        firsts = {row.recipe.name: first_trial(results, row) for row in six}
        assert name == min(firsts, key=firsts.__getitem__)
    traced = [row.recipe.name for row in read_rows(TABLES["fair_trace"])]
    assert traced == [f"{name}-trace" for name in chosen]
    assert {row.recipe.loss for row in read_rows(TABLES["fair_trace"])} == {"trace"}


def first_trial(results, row):
    """What the choice goes by: mask error of the one trial of the search, then questions to 1 %."""
    found = [trial.record for trial in read_trials(results, row.recipe.name)]
    (first,) = [r for r in found if r.seed == 0 and r.planned_samples == 99_968]
    to_1pct = first.samples_to_1pct or first.samples
    return first.mask_error_pct, to_1pct


def test_a_row_keeps_its_shape_on_other_data():
    (deep,) = choose(read_rows(TABLES["fair"]), ["olmo-hybrid-deep*"], None, None)
    assert deep.recipe.model_args["num_hidden_layers"] == 3
    for level in choose(read_rows(TABLES["ladder"]), ["olmo-hybrid-deep-level-*"], None, None):
        assert level.recipe.model_args == deep.recipe.model_args
        assert level.recipe.learning_rate == deep.recipe.learning_rate == 5e-4


def test_a_table_without_a_number_of_samples_takes_each_recipes_own():
    found = {row.recipe.name: row.recipe.num_samples for row in read_rows(TABLES["ours"])}
    assert found == {name: find_recipe(name).num_samples for name in found}
    assert len({*found.values()}) == 3


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with a trial of a level, and what was printed."""
    folder = tmp_path_factory.mktemp("reproduce")
    here("ladder", "--rows", ROW, "--max-samples", 640, "--trials", 1, *places(folder))
    return folder


def test_a_trial_leaves_line_details_table_and_pictures(done):
    hub = done / "hub"
    (record,) = read_records(hub / "results" / f"{ROW}.jsonl")
    (trial,) = read_records(done / "runs" / ROW / "640" / "trials.jsonl")
    assert record == trial
    (kept,) = read_trials(hub / "results", ROW)
    assert [point["samples"] for point in kept.details["curve"]][-1] == 640
    assert kept.details["grid"]["horizon"] == 0
    assert kept.details["grid"]["lost"]
    assert [row["nops"] for row in kept.details["grid"]["rows"]] == [1, 2]
    assert kept.details["floors"]["first 2"]["mask_error_pct"] == 0
    assert kept.details["questions_per_second"] > 0
    shown = cells((hub / "tables" / "ladder.md").read_text(), ROW)
    assert shown["rank"] == "at chance"
    assert shown["training questions"] == "640 of 100,000"
    assert shown["mask error %"] == f"{record.mask_error_pct:.2f}"
    assert shown["% wrong at 1,024"] == "lost"
    pictures = {path.name for path in (hub / "figures").iterdir()}
    assert pictures == {"ladder-curves.png", "ladder-answers.png", "ladder-grid-len5.png"}


def test_more_test_questions_begin_with_those_of_the_split(done, monkeypatch):
    (record,) = read_records(done / "hub" / "results" / f"{ROW}.jsonl")
    (row,) = choose(read_rows(TABLES["ladder"]), [ROW], 640, 1)
    row = replace(row, test_questions=2 * record.test_questions, grid=None)
    asked, measure = [], trials.measure
    monkeypatch.setattr(
        trials,
        "measure",
        lambda model, examples, *a: asked.append(examples) or measure(model, examples, *a),
    )
    found = trials.details(row, done / "runs" / ROW / "640", record)["test"]
    assert found["questions"] == len(asked[-1]) == 2 * record.test_questions
    split = sample(row.recipe.config, "test", range(record.test_questions)).questions()
    assert asked[-1].questions()[: record.test_questions] == split


def test_what_is_kept_is_not_done_again_wherever_the_runs_are(done, tmp_path, capsys):
    table = (done / "hub" / "tables" / "ladder.md").read_text()
    flags = ["--rows", ROW, "--max-samples", 640, "--trials", 1, "--hub-cards", done / "hub"]
    here("ladder", *flags, "--output-dir", tmp_path / "elsewhere")
    assert f"{ROW}: nothing is missing" in capsys.readouterr().out
    assert not (tmp_path / "elsewhere").exists()
    here("ladder", "--report-only", "--hub-cards", done / "hub")
    assert table in capsys.readouterr().out
    assert (done / "hub" / "tables" / "ladder.md").read_text() == table


def test_other_settings_another_budget_or_a_missing_grid_are_another_trial(done):
    results = done / "hub" / "results"
    (row,) = choose(read_rows(TABLES["ladder"]), [ROW], 640, 1)
    assert trials.missing_seeds(row, results) == []
    assert trials.missing_seeds(replace(row, trials=3), results) == [1, 2]
    assert trials.missing_seeds(replace(row, grid=None), results) == []
    assert trials.missing_seeds(replace(row, test_questions=10), results) == [0]
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


def test_killed_between_two_trials_it_goes_on_and_keeps_the_first_line(tmp_path):
    words = ["baselines", "--rows", "swap-delta*", "--max-samples", "6400", "--trials", "2"]
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", *words, *places(tmp_path)]
    own = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "cwd": tmp_path}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    row = "swap-delta-swap-nops2-5"
    line = tmp_path / "hub" / "results" / f"{row}.jsonl"
    log = tmp_path / "runs" / row / "6400" / "seed-1" / "log.jsonl"
    process = subprocess.Popen([*map(str, command)], **own, **silent)
    try:
        while not (line.exists() and log.exists()):
            try:
                process.wait(0.005)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail("it ended before it was killed")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    first = line.read_text()
    assert len(read_records(line)) == 1
    done = subprocess.run([*map(str, command)], **own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert line.read_text().startswith(first)
    assert [record.seed for record in read_records(line)] == [0, 1]
    assert {trial.details["seed"] for trial in read_trials(line.parent, row)} == {0, 1}
    assert cells(done.stdout, row)["solved"].endswith("of 2")
    assert not [*tmp_path.rglob("*.partial")]


def test_a_row_that_fails_is_one_line_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def run_row(row, *_):
        if row.recipe.name == "lstm-l6":
            raise ValueError("seed 0: the loss is nan")
        record = replace(made(), recipe=row.recipe.name, planned_samples=64, samples=64)
        yield kept_trials.Trial(record, {"floors": COPY})

    monkeypatch.setattr(trials, "run_row", run_row)
    with pytest.raises(SystemExit) as stop:
        here("baselines", "--rows", "lstm-l6", "mamba-l6", *places(tmp_path))
    assert str(stop.value) == "reproduce: lstm-l6: seed 0: the loss is nan"
    said = capsys.readouterr().out
    assert cells(said, "lstm-l6")["rank"] == "not run"
    assert cells(said, "mamba-l6")["rank"] == "1"


@pytest.mark.parametrize(
    "flags, words",
    [
        (["zoo", "--rows", "zoo-grue"], "--rows 'zoo-grue': there is no such row, did you mean"),
        (["zoo", "--trials", "0"], "--trials 0 must be 1 or more"),
        (["zoo", "--jobs", "0"], "--jobs 0 must be 1 or more"),
        (["zoo", "--max-minutes", "0"], "--max-minutes 0 must be above 0"),
        (["zoo", "--max-samples", "1"], "num_samples is 1: one step needs batch_size 64"),
    ],
)
def test_a_mistake_is_one_clear_line(flags, words, tmp_path):
    with pytest.raises(SystemExit) as stop:
        here(*flags, *places(tmp_path))
    assert words in str(stop.value)
    assert "\n" not in str(stop.value)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "text, words",
    [
        ("[tables.a]\ntitel = 1\n", "table 'a': key 'titel' is unknown: did you mean 'title'"),
        (
            '[tables.a]\ntitle = ""\nnum_samples = 64\ntrials = 1\nrecipes = ["swap-delta"]\n'
            "[rows.swap-delta]\ntrails = 2\n",
            "row 'swap-delta': key 'trails' is unknown: did you mean 'trials'",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest(text, words, tmp_path):
    path = tmp_path / "tables.toml"
    path.write_text(text + "[rows]\n[grids]\n" if "[rows" not in text else text + "[grids]\n")
    with pytest.raises(ValueError, match=words):
        read_rows(read_tables(path)["a"], path)


def kept(seed, sample_error, mask_error=50.0, planned=128, speed=10.0, **details):
    record = replace(
        made(), recipe="row", seed=seed, sample_error_pct=sample_error, mask_error_pct=mask_error,
        planned_samples=planned, samples=planned, samples_per_second=speed,
    )  # fmt: skip
    return kept_trials.Trial(record, {"floors": COPY, **details})


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
    record = replace(made(), recipe="swap-delta", seed=99)
    keep_trial(tmp_path, record, {})
    assert path.read_text().startswith(old)
    assert len(path.read_text().splitlines()) == 1 + len(old.splitlines())
    path.write_text(old + '{"recipe": "swa\n')
    with pytest.raises(ValueError, match=r"swap-delta\.jsonl, line \d+: .*mend or delete it"):
        keep_trial(tmp_path, record, {})
    assert path.read_text() == old + '{"recipe": "swa\n'


def lines():
    """Lines of all kinds, in an order that is not the table's."""
    article = {"sample_error_pct": "99.5123", "params": "237952"}
    grids = [
        {
            "name": "grid-all-len5",
            "horizon": h,
            "lost": True,
            "rows": [{"nops": 10, "sample_error_pct": e}],
        }
        for h, e in ((5, 4.0), (">1024", 0.0), (12, 2.0))
    ]
    three = [kept(i, e, grid=grids[i]) for i, e in enumerate((0.5, 3.0, 0.4))]
    slow = [kept(0, 20.0, speed=4.0, questions_per_second=3.0, device="cpu")]
    return [
        *split_budgets("lost", "data", 4_000_000, article, [kept(0, 100.0, 77.5)]),
        *split_budgets("never", "data", 4_000_000, article, []),
        *split_budgets("worse", "data", 128, {}, [kept(0, 30.0)]),
        *split_budgets("slow", "data", 128, {}, slow),
        *split_budgets("three", "data", 4_000_000, article, [*three, kept(0, 0.0, planned=640)]),
    ]


def training(seed, val_loss, planned=128, to_1pct=64):
    record = replace(
        kept(seed, 0.5, planned=planned).record, val_loss=val_loss, seconds=10.0 + seed,
        samples=planned - 28, samples_to_1pct=to_1pct,
    )  # fmt: skip
    return kept_trials.Trial(record, {"from": seed})


def test_of_several_trainings_the_lowest_validation_loss_is_kept_at_the_cost_of_all():
    losses = {0: 0.3, 1: 0.1, 2: 0.2, 3: 0.1, 4: 0.3, 5: 0.2, 6: 0.0, 7: 0.0}
    longer = [training(0, 0.5, planned=640), training(1, 0.4, planned=640)]
    trainings = [training(seed, loss) for seed, loss in losses.items()]
    found = best_of([*longer, *trainings], 3)
    assert [(trial.record.seed, trial.details["from"]) for trial in found] == [(1, 1), (3, 3)]
    assert [trial.record.samples for trial in found] == [300, 300]
    assert [trial.budget for trial in found] == [384, 384]
    assert [trial.record.samples_to_1pct for trial in found] == [300, 300]
    assert [trial.record.seconds for trial in found] == [33.0, 42.0]
    assert [trial.record.samples_per_second for trial in found] == [300 / 33, 300 / 42]
    (never,) = best_of([training(0, 0.1, to_1pct=None), training(1, 0.2)], 2)
    assert never.record.samples_to_1pct is None
    assert best_of(trainings, 1) == trainings


def test_a_row_of_several_trainings_takes_those_of_its_recipe(tmp_path):
    name = "default-delta-far-best-of-3"
    (row,) = choose(read_rows(TABLES["ours"]), [name], None, 2)
    (alone,) = choose(read_rows(TABLES["ours"]), ["default-delta-far"], None, 2)
    assert row.recipe == alone.recipe == find_recipe("default-delta-far")
    assert (row.name, alone.name) == (name, "default-delta-far")
    assert trials.missing_seeds(row, tmp_path) == [0, 1, 2, 3, 4, 5]
    assert trials.missing_seeds(alone, tmp_path) == [0, 1]
    for seed in range(6):
        trial = training(seed, float(seed), planned=600_000)
        keep_trial(tmp_path, replace(trial.record, recipe="default-delta-far"), trial.details)
    lines = {line.row: line for line in table_lines(TABLES["ours"], tmp_path)}
    assert [trial.record.seed for trial in lines[name].trials] == [0, 3]
    assert lines[name].budget == lines[name].full == 1_800_000
    assert len(lines["default-delta-far"].trials) == 6


@pytest.mark.parametrize(
    "text, words",
    [
        ("learning_rate = 1.0", "key 'learning_rate' is unknown"),
        ("trials = 2", "row 'mine': call it swap-delta-best-of-N, where N is best_of, 2 or more"),
    ],
)
def test_a_row_of_several_trainings_changes_none_and_is_called_so(text, words, tmp_path):
    path = tmp_path / "tables.toml"
    path.write_text(
        '[tables.a]\ntitle = ""\nnum_samples = 64\ntrials = 1\nrecipes = ["mine"]\n[grids]\n'
        f'[rows.mine]\nrecipe = "swap-delta"\nbest_of = 2\n{text}\n'
    )
    with pytest.raises(ValueError, match=words):
        read_rows(read_tables(path)["a"], path)


def test_longer_trials_are_another_tables(tmp_path):
    for planned in (64, 128, 640):
        trial = kept(0, 1.0, planned=planned)
        keep_trial(tmp_path, replace(trial.record, recipe="zoo-gru"), trial.details)
    table = Table("some", "title", trials=1, num_samples=128, recipes=["zoo-gru"])
    assert [line.budget for line in table_lines(table, tmp_path)] == [128, 64]


def test_ranks_are_within_a_budget_and_chance_has_none():
    assert [(rank, line.row, line.budget) for rank, line in ranked(lines())] == [
        ("1", "three", 640), ("1", "three", 128), ("2", "slow", 128), ("3", "worse", 128),
        ("at chance", "lost", 128), ("not run", "never", 0),
    ]  # fmt: skip


def test_cells_are_the_statistics_of_the_trials():
    names = ["samples", "solved", "horizon", "sample", "by_nops", "train_speed", "article"]
    found = [line for line in lines() if line.budget != 640]
    text = article_table("title", found, names, against="slow")
    three, never = cells(text, "three"), cells(text, "never")
    assert three["training questions"] == "128 of 4,000,000"
    assert cells(text, "slow")["training questions"] == "128"
    assert three["solved"] == "2 of 3"
    assert three["horizon"] == "12 (5 to >1024)"
    spread = [three[name] for name in ("sample error %: mean", "median", "std", "min", "max")]
    assert spread == ["1.30", "0.50", "1.47", "0.40", "3.00"]
    by_nops = [three[f"% wrong at {nops}"] for nops in ("10", "20", "1,024")]
    assert by_nops == ["2.00", "lost", "-"]  # the grid has no 1,024
    assert three["trained/s"] == "10 (x 2.50)"
    assert three["article: sample error %"] == never["article: sample error %"] == "99.5123"
    assert never["article: parameters"] == "237,952"
    assert never["solved"] == never["rank"] == "not run"
    assert cells(text, "lost")["rank"] == "at chance"
    assert "Mask error % without a model on data: copy 77.50, guess 80.00." in text


def test_speeds_of_different_devices_are_not_compared():
    mine = [kept(0, 0.0, questions_per_second=9.0, device="NVIDIA")]
    base = [kept(0, 0.0, questions_per_second=3.0, device="cpu")]
    found = [
        *split_budgets("mine", "data", 128, {}, mine), *split_budgets("base", "data", 128, {}, base)
    ]  # fmt: skip
    text = article_table("title", found, ["ask_speed", "train_speed"], against="base")
    assert cells(text, "mine")["asked/s"] == "9"
    assert cells(text, "mine")["trained/s"] == "10 (x 1.00)"


def test_chance_is_left_where_the_mask_error_stays_below_copying():
    def curve(*errors):
        return [{"samples": 10 * i, "mask_error_pct": error} for i, error in enumerate(errors)]

    trials = [
        kept(seed, 100.0, errors[-1], curve=curve(*errors))
        for seed, errors in enumerate([(80, 77.5, 77.4), (80, 70, 79, 70), (80, 60, 78)])
    ]
    on_all_questions = kept(0, 100.0, 78.5, curve=curve(80, 77))
    at_last = kept(0, 100.0, 70.0, curve=curve(80, 78))
    found = [
        *split_budgets("some", "data", 128, {}, trials),
        *split_budgets("none", "data", 128, {}, trials[2:]),
        *split_budgets("luck", "data", 128, {}, [on_all_questions]),
        *split_budgets("last", "data", 128, {}, [at_last]),
        *split_budgets("older", "data", 128, {}, [kept(0, 100.0)]),
    ]
    text = article_table("title", found, ["off_chance"])
    rows = ("some", "none", "luck", "last", "older")
    shown = [cells(text, row)["questions to leave chance"] for row in rows]
    assert shown == ["25 (20 to 30); 2 of 3", "never", "never", "128", "-"]
