"""A table of kept trials: its lines, their order and their cells."""

from dataclasses import replace

import pytest

from scripts.core.statistics import grid_nops
from scripts.core.trial_store import Trial, save_trial
from scripts.reporting import figures
from scripts.reporting.ranking import Line, rank_lines, split_budgets
from scripts.reporting.tables import results_table
from scripts.reproduction.experiments import RECIPES, Table, make_rows
from scripts.reproduction.report import table_lines
from tests.scripts.reporting.cases import COPY, cells, curve, kept, record


def grid(horizon, beyond=100.0):
    """A kept grid without an error up to the horizon, that ended after two numbers beyond it."""
    listed = grid_nops("grid-all-len5")
    rows = [
        {"nops": n, "questions": 1000, "sample_error_pct": 0.0 if n <= horizon else beyond}
        for n in listed[: listed.index(horizon) + 3]
    ]
    return {"name": "grid-all-len5", "horizon": "older", "lost": True, "rows": rows}


def lines():
    """Lines of all kinds, in an order that is not the table's."""
    article = {"sample_error_pct": "99.5123", "params": "237952"}
    grids = [grid(5), grid(256), grid(8, 2.0)]
    three = [kept(i, e, grid=grids[i]) for i, e in enumerate((0.5, 3.0, 0.4))]
    slow = [kept(0, 20.0, speed=4.0)]
    return [
        *split_budgets("diverged", "data", 4_000_000, article, [kept(0, 100.0, 77.5)]),
        *split_budgets("never", "data", 4_000_000, article, []),
        *split_budgets("worse", "data", 128, {}, [kept(0, 30.0)]),
        *split_budgets("slow", "data", 128, {}, slow),
        *split_budgets("three", "data", 4_000_000, article, [*three, kept(0, 0.0, planned=640)]),
    ]


def test_a_picture_of_a_grid_has_the_horizon_of_the_table(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(figures, "training_curves", lambda *_: None)
    monkeypatch.setattr(figures, "answers_picture", lambda *_: None)
    monkeypatch.setattr(figures, "error_by_nops", lambda lines, *_: drawn.update(lines))
    # The trial in the middle by its error has another horizon than the middle one.
    trials = [
        kept(seed, error, curve=curve(), answers={}, grid=grid(horizon))
        for seed, (error, horizon) in enumerate([(0.1, 64), (0.2, 256), (0.3, 5)])
    ]
    found = split_budgets("row", "data", 128, {}, trials)
    figures.draw_figures("some", "title", found, tmp_path)
    assert drawn == {"row, 128 samples: horizon 64": grid(64)["rows"]}


def test_longer_trials_are_another_tables(tmp_path):
    for planned in (64, 128, 640):
        trial = kept(0, 1.0, planned=planned)
        save_trial(tmp_path, replace(trial.record, recipe="zoo-gru"), trial.details)
    table = Table("some", "title", "", make_rows([RECIPES["zoo-gru"]], 1, 128))
    assert [line.budget for line in table_lines(table, tmp_path)] == [128, 64]


def test_ranks_are_within_a_budget_and_chance_has_none():
    assert [(rank, line.row, line.budget) for rank, line in rank_lines(lines())] == [
        ("1", "three", 640), ("1", "three", 128), ("2", "slow", 128), ("3", "worse", 128),
        ("at chance", "diverged", 128), ("not run", "never", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("objective, rank", [("fill", "1"), ("next-token", "at chance")])
def test_chance_of_next_tokens_is_guessing_among_the_letters_that_are_left(objective, rank):
    details = {"settings": {"objective": objective}, "floors": COPY}
    trial = Trial(record(mask_error_pct=55.0, sample_error_pct=99.0), details)
    line = Line("row", "swap-nops1-5", 64_000, {}, [trial])
    assert [found for found, _ in rank_lines([line])] == [rank]


def test_a_line_is_compared_with_those_of_its_own_task_and_copying_is_no_chance_where_it_is_right():
    def lines_of(name, mask_error, nops, copying):
        levels = {"copy": {"mask_error_pct": copying}, "guess": {"mask_error_pct": 76.0}}
        details = {"settings": {"data_args": {"nops": nops}}, "floors": levels}
        trial = Trial(record(mask_error_pct=mask_error, sample_error_pct=99.0), details)
        return split_budgets(name, "level-8", 128, {}, [trial])

    found = [*lines_of("copies", 40.0, 0, 0.0), *lines_of("guesses", 80.0, 0, 0.0)]
    found += lines_of("one", 40.0, 1, 24.0)
    ranks = {line.row: rank for rank, line in rank_lines(found)}
    assert ranks == {"copies": "1", "guesses": "at chance", "one": "at chance"}


def test_a_trial_is_solved_on_held_out_programs_where_they_were_evaluated():
    trials = [kept(0, 0.5, programs={"sample_error_pct": 1.5}), kept(1, 0.5)]
    (line,) = split_budgets("row", "data", 128, {}, trials)
    assert line.results["sample_error_pct"]["solved"] == 1


def test_of_equal_errors_the_longer_horizon_comes_first():
    found = []
    for number, horizon in enumerate((5, 64, 256)):
        trial = kept(0, 0.001 * number, grid=grid(horizon))
        found += split_budgets(f"to-{horizon}", "data", 128, {}, [trial])
    assert [line.row for _, line in rank_lines(found)] == ["to-256", "to-64", "to-5"]


def test_cells_are_the_statistics_of_the_trials():
    names = ["samples", "solved", "horizon", "sample", "by_nops", "train_speed", "article"]
    found = [line for line in lines() if line.budget != 640]
    text = results_table("title", found, names, against="slow")
    three, never = cells(text, "three"), cells(text, "never")
    assert three["training samples"] == "128 of 4,000,000"
    assert cells(text, "slow")["training samples"] == "128"
    assert three["solved"] == "2 of 3 (9% to 100%)"
    assert three["horizon"] == "8 (5 to >256)"
    spread = [three[name] for name in ("sample error %: mean", "median", "std", "min", "max")]
    assert spread == ["1.30", "0.50", "1.47", "0.40", "3.00"]
    assert [three[f"sample error % at {nops}"] for nops in ("10", "20")] == ["2.00", "≥99"]
    assert "sample error % at 1,024" not in text  # no grid has it
    assert three["training samples/s"] == "10"
    assert three["article: sample error %"] == never["article: sample error %"] == "99.5123"
    assert never["article: parameters"] == "237,952"
    assert never["solved"] == never["rank"] == "not run"
    assert cells(text, "diverged")["rank"] == "at chance"
    assert "Mask error % of the trivial baselines on data: copy 77.50, guess 80.00." in text


def test_speeds_are_compared_over_five_trials_of_one_device():
    speeds = {"base": [1, 2, 2, 2, 9], "mine": [6] * 5, "few": [6] * 4, "other": [6] * 5}
    found = []
    for row, values in speeds.items():
        device = "gpu" if row == "other" else ""
        trials = [
            kept(i, 0.0, speed=speed, questions_per_second=3 * speed, device=device)
            for i, speed in enumerate(values)
        ]
        found += split_budgets(row, "data", 128, {}, trials)
    text = results_table("title", found, ["evaluation_speed", "train_speed"], against="base")
    shown = [cells(text, row)["evaluation samples/s"] for row in ("mine", "few", "other")]
    assert shown == ["18 (x 3.00, 0.67 to 6.00)", "18", "18"]
    assert cells(text, "other")["training samples/s"] == "6 (x 3.00, 0.67 to 6.00)"


def test_a_cost_is_compared_where_most_trials_were_solved_and_its_end_is_open_where_one_was_not():
    solved_at = {
        "base": [2000] * 5,
        "mine": [4000] * 5,
        "once": [4000] * 4 + [None],
        "seldom": [4000] * 2 + [None] * 3,
    }
    found = []
    for row, all_samples in solved_at.items():
        trials = [
            trial._replace(record=replace(trial.record, samples_to_1pct=samples))
            for trial, samples in (
                (kept(i, 0.0, curve=curve()), n) for i, n in enumerate(all_samples)
            )
        ]
        found += split_budgets(row, "data", 128, {}, trials)
    text = results_table("title", found, ["cost"], against="base")
    shown = {row: list(cells(text, row).values())[2:] for row in solved_at}
    assert shown["base"] == ["2,000", "0"]  # of `curve`, 1,000 samples take a seventh of a second
    assert shown["mine"] == ["4,000 (x 2.00, 2.00 to 2.00)", "1 (x 2.00, 2.00 to 2.00)"]
    assert shown["once"] == ["4,000 (x 2.00, 2.00 and more)", "1 (x 2.00, 2.00 and more)"]
    assert shown["seldom"] == ["never", "never"]
    # What the others never reached has no ratio.
    text = results_table("title", found, ["cost"], against="once")
    assert list(cells(text, "base").values())[2:] == ["2,000", "0"]


def test_held_out_programs_stand_before_the_test_samples_and_it_is_said_what_differs():
    some = kept(0, 1.0, programs={"sample_error_pct": 7.0})
    found = split_budgets("some", "default", 128, {}, [some])
    found += split_budgets("half", "default", 128, {}, [some, kept(1, 9.0)])
    found += split_budgets("older", "swap-nops2", 128, {}, [kept(0, 1.0)])
    text = results_table("title", found, ["programs", "test"])
    assert list(cells(text, "some").values())[2:] == ["7.00", "4.25"]
    assert "7.00 (1 of 2 trials)" in cells(text, "half").values()
    assert list(cells(text, "older").values())[2:] == ["-", "4.25"]
    assert "3 or more operations; validation and test samples of default have fewer, too" in text


def test_chance_is_left_where_the_mask_error_stays_below_copying():
    def curve(*errors):
        return [{"samples": 10 * i, "mask_error_pct": error} for i, error in enumerate(errors)]

    curves = [(80, 77.5, 77.4), (80, 70, 79, 70), (80, 60, 78)]
    trials = [kept(i, 100.0, errors[-1], curve=curve(*errors)) for i, errors in enumerate(curves)]
    rows = {
        "some": trials,
        "none": trials[2:],
        "luck": [kept(0, 100.0, 78.5, curve=curve(80, 77))],  # not on all questions
        "last": [kept(0, 100.0, 70.0, curve=curve(80, 78))],
        "older": [kept(0, 100.0)],
    }
    found = [ln for row, of in rows.items() for ln in split_budgets(row, "data", 128, {}, of)]
    text = results_table("title", found, ["off_chance"])
    shown = [cells(text, row)["samples to leave chance"] for row in rows]
    assert shown == ["25 (20 to 30); 2 of 3 (9% to 100%)", "never", "never", "128", "-"]
