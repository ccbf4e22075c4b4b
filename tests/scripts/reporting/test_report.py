"""The report of a run: its files are whole, and its pictures and words say what was got wrong."""

import json
import re

import matplotlib
import matplotlib.image
import numpy as np
import pytest

from scripts.reporting import figures
from scripts.reporting.figures import AnswerRow, answers_picture, error_curves
from scripts.reporting.report import Answered, worst_and_best, write_report
from tests.scripts.reporting.cases import answered, curve, record

HELD_OUT = ("test_programs", "test")
RED = np.array([0xC6, 0x28, 0x28]) / 255
GREEN = np.array([0xC8, 0xE6, 0xC9]) / 255


def pixels(path, color):
    """How many pixels of a picture have this color."""
    image = matplotlib.image.imread(path)[:, :, :3]
    return int((np.abs(image - color).max(axis=2) < 0.01).sum())


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    text = write_report(
        folder,
        [record(0), record(1, sample_error_pct=0.5), record(2, sample_error_pct=99.0)],
        [curve(1), curve(2), curve(3)],
        {
            "validation": answered("swap-nops5", 400),
            "by_nops": answered("default", 400),
            **{split: answered("default", 400, split=split) for split in HELD_OUT},
        },
        answer_width=5,
        label_smoothing=0.1,
    )
    return folder, text


@pytest.fixture
def drawn(monkeypatch):
    figures_drawn = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, *_: figures_drawn.append(figure))
    return figures_drawn


def test_a_report_leaves_whole_files_and_nothing_else(report):
    folder, text = report
    assert {path.name for path in folder.iterdir()} == {
        "results.json", "report.txt", "curves.png", "answers.png",
    }  # fmt: skip
    assert (folder / "report.txt").read_text() == text + "\n"
    for name in ("curves.png", "answers.png"):
        assert matplotlib.image.imread(folder / name).ndim == 3


def test_results_end_with_baselines_and_figures_by_nops_and_length(report):
    results = json.loads((report[0] / "results.json").read_text())
    assert list(results)[-4:] == ["shown_seed", "floors", "by_nops", "by_length"]
    assert results["shown_seed"] == 0
    assert results["floors"]["first 4"] == {"sample_error_pct": 100.0, "mask_error_pct": 40.0}
    assert list(results["by_nops"]) == ["1", "2", "3", "4", "5"]
    assert list(results["by_length"]) == ["2", "3", "4", "5"]
    group = results["by_nops"]["5"]
    # These predictions are this trivial baseline.
    assert {name: group[name] for name in group["floors"]["first 4"]} == group["floors"]["first 4"]


def test_the_report_has_the_model_next_to_the_baselines(report):
    _, text = report
    assert "solved 1 of 3 (0% to 91%)" in text
    model, first_4 = (re.search(rf"^{name} .*", text, re.M)[0] for name in ("model", "first 4"))
    assert model.split()[1:] == first_4.split()[2:]  # its answers are that baseline's
    assert "last" not in text
    assert max(map(len, text.splitlines())) <= 110


def test_held_out_programs_come_first_at_the_numbers_of_operations_of_test(report):
    folder, text = report
    first = text.split("\n\n")[1].splitlines()
    assert first[0] == "the median trial on held-out programs and test:"
    assert [line.split()[0] for line in first[2:]] == ["3", "4", "5"]
    results = json.loads((folder / "results.json").read_text())
    kept = results["held_out"]["test_programs"]["by_nops"]["4"]
    low, high = kept["sample_error_interval"]
    cell = f"{kept['sample_error_pct']:.2f} ({low:.2f}-{high:.2f})"
    assert first[3].split(maxsplit=2)[2].startswith(cell)


def test_worst_and_best_are_the_answers_with_most_and_fewest_wrong_characters():
    references = ["ABC", "ABC", "ABC", "A"]
    predictions = ["ABC", "CBA", "BCA", "AX"]
    questions = ["ABC:", "CBA:1>3", "BCA:", "AX:-2"]
    blocks = worst_and_best(Answered(questions, references, predictions), 3, rows=2)
    (worst_title, worst), (best_title, best) = blocks.items()
    assert "3 of 4 answers are wrong" in worst_title
    assert "1 of 4 answers are right" in best_title
    assert [(row.question, sum(row.wrong)) for row in worst] == [("BCA:", 3), ("CBA:1>3", 2)]
    assert [(row.question, sum(row.wrong)) for row in best] == [("ABC:", 0), ("AX:-2", 1)]


def test_where_all_is_right_the_answers_are_shown_once(tmp_path, drawn):
    blocks = worst_and_best(Answered(["ABC:", "CBA:1>3"], ["ABC", "ABC"], ["ABC", "ABC"]), 3)
    answers_picture(blocks, tmp_path / "answers.png")
    (axes,) = drawn[0].axes
    titles = [text.get_text() for text in axes.texts if "answers are" in text.get_text()]
    assert titles == ["best: 2 of 2 answers are right"]


def test_the_picture_gives_each_character_of_the_field_its_ground(tmp_path):
    path = tmp_path / "answers.png"
    areas = {}
    for wrong in range(6):
        row = AnswerRow("AB:1>2", "·" * 5, "AB", [True] * wrong + [False] * (5 - wrong))
        answers_picture({"title": [row]}, path)
        areas[wrong] = pixels(path, RED), pixels(path, GREEN)
    # The verdict "n of 5 wrong" is red too.
    assert areas[0][0] == 0 == areas[5][1]
    red, green = zip(*areas.values(), strict=True)
    assert list(red) == sorted(set(red))
    assert list(green) == sorted(set(green), reverse=True)


def test_a_picture_has_room_for_its_widest_answer_field(tmp_path):
    rows = [AnswerRow("AB:1>2", "A" * width, "A" * width, [False] * width) for width in (5, 26)]
    shapes = []
    for number, order in enumerate([rows, rows[::-1], rows[:1]]):
        path = tmp_path / f"{number}.png"
        answers_picture({"title": order}, path)
        shapes.append(matplotlib.image.imread(path).shape)
    assert shapes[0][1] == shapes[1][1] > shapes[2][1]


@pytest.mark.parametrize("prediction", ["", "\x00\xff\x80$_^", "ÄÖ€漢", "ABCDEFGH"])
def test_the_picture_shows_any_answer(tmp_path, prediction):
    path = tmp_path / "answers.png"
    row = AnswerRow("ABCDE:" + " ".join(["1>2"] * 1024), prediction, "", [True] * 5)
    answers_picture({"worst $_^$": [row], "best": []}, path)
    assert matplotlib.image.imread(path).shape[1] < 2000


def test_a_long_question_loses_its_middle_and_stays_inside_the_picture(tmp_path, drawn):
    question = "ABCDE:" + "1>2 " * 50 + "4>5"
    answers_picture({"worst": [AnswerRow(question, "A", "B", [True])]}, tmp_path / "answers.png")
    (axes,) = drawn[0].axes
    (shown,) = (text for text in axes.texts if text.get_text().startswith("ABCDE"))
    assert shown.get_text().endswith("4>5")
    left, right = axes.get_xlim()
    for text in axes.texts:
        x = text.get_position()[0]
        assert left < x
        assert x + len(text.get_text()) <= right


def test_curves_are_drawn_for_each_trial_and_baseline(tmp_path, drawn):
    error_curves([curve(1), curve(2)], tmp_path / "curves.png", {"copy": 77.5, "first 4": 40.0})
    errors, losses = drawn[0].axes
    assert losses.get_yscale() == "log"
    assert [list(line.get_xdata()) for line in losses.lines] == [
        [point["samples"] for point in curve()]
    ] * 4
    assert [line.get_ydata()[0] for line in errors.lines[4:]] == [77.5, 40.0]
    assert list(errors.lines[0].get_ydata()) == [p["sample_error_pct"] for p in curve(1)]
    assert list(errors.lines[2].get_ydata()) == [p["mask_error_pct"] for p in curve(1)]
    assert errors.get_ylim()[0] == 0


@pytest.mark.parametrize("trials", [[[]], [curve()[:1]], [curve(), []]])
def test_short_curves_are_drawn(tmp_path, trials):
    error_curves(trials, tmp_path / "curves.png", {"copy": 77.5})
    assert matplotlib.image.imread(tmp_path / "curves.png").ndim == 3


def test_a_failed_picture_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def torn(_, tmp_path, **settings):
        tmp_path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(figures.Figure, "savefig", torn)
    with pytest.raises(OSError, match="no space"):
        error_curves([curve()], path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [
        ("curves.png", b"old")
    ]


def test_drawing_leaves_the_global_state_of_matplotlib_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    error_curves([curve()], tmp_path / "curves.png")
    assert dict(matplotlib.rcParams) == before
