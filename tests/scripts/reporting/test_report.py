"""The report of a run: its files are whole, and its pictures and words say what was got wrong."""

import json
import re
from dataclasses import replace

import matplotlib
import matplotlib.image
import pytest
from matplotlib.colors import to_hex

from scripts.reporting import figures
from scripts.reporting.figures import AnswerRow, answers_picture, training_curves
from scripts.reporting.held_out import programs_seen
from scripts.reporting.report import Answered, worst_and_best, write_report
from tests.scripts.reporting.cases import answered, curve, record
from vsc_dataset import parse, sample
from vsc_dataset.configs import make_config

HELD_OUT = ("test_programs", "test")


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
        seen_pct=1.5,
    )
    return folder, text


@pytest.fixture
def drawn(monkeypatch):
    figures_drawn = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, *_: figures_drawn.append(figure))
    return figures_drawn


def test_a_report_leaves_whole_files_and_nothing_else(report):
    folder, text = report
    pictures = {"curves.png", "answers.png"}
    assert {path.name for path in folder.iterdir()} == {"results.json", "report.txt", *pictures}
    assert (folder / "report.txt").read_text() == text + "\n"
    assert all(matplotlib.image.imread(folder / name).ndim == 3 for name in pictures)
    results = json.loads((folder / "results.json").read_text())
    assert list(results)[-4:] == ["shown_seed", "floors", "by_nops", "by_length"]
    assert results["shown_seed"] == 0
    assert results["floors"]["first 4"] == {"sample_error_pct": 100.0, "mask_error_pct": 40.0}
    assert list(results["by_nops"]) == ["1", "2", "3", "4", "5"]
    assert list(results["by_length"]) == ["2", "3", "4", "5"]
    group = results["by_nops"]["5"]
    # These predictions are this trivial baseline.
    assert {name: group[name] for name in group["floors"]["first 4"]} == group["floors"]["first 4"]


def test_a_report_begins_with_held_out_programs_and_has_the_baselines(report):
    folder, text = report
    first = text.split("\n\n")[1].splitlines()
    assert first[0] == "the median trial on held-out programs and test:"
    assert [line.split()[0] for line in first[2:]] == ["3", "4", "5"]
    assert "1.5% of the test samples have a program that training has seen" in text
    results = json.loads((folder / "results.json").read_text())
    kept = results["held_out"]["test_programs"]["by_nops"]["4"]
    low, high = kept["sample_error_interval"]
    cell = f"{kept['sample_error_pct']:.2f} ({low:.2f}-{high:.2f})"
    assert first[3].split(maxsplit=2)[2].startswith(cell)
    assert "solved 1 of 3 (0% to 91%)" in text
    assert re.search(r"^nops .* first 4$", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("layout", ["compact", "spaced"])
def test_the_share_of_programs_seen_is_that_of_a_slow_count(layout):
    def program(question):
        return [(op.kind, *sorted((op.x, op.y or 0))) for op in parse(question).operations]

    config = replace(make_config("default"), layout=layout, num_test=200)
    seen = [program(q) for q in sample(config, "train", range(300), seed=3).questions()]
    share = sum(program(q) in seen for q in sample(config, "test", range(200)).questions()) / 2
    assert 20 < share < 90
    assert programs_seen(config, "test", 3, 300) == share
    assert programs_seen(config, "test_programs", 3, 300) == 0
    assert programs_seen(config, "test", 3, 10**8) is None


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


@pytest.mark.parametrize("wrong", [0, 2, 5])
def test_the_picture_gives_each_character_of_the_field_its_ground(tmp_path, drawn, wrong):
    row = AnswerRow("AB:1>2", "AB?", "AB", [True] * wrong + [False] * (5 - wrong))
    answers_picture({"title": [row]}, tmp_path / "answers.png")
    (axes,) = drawn[0].axes
    colors = [to_hex(patch.get_facecolor()) for patch in axes.patches]
    assert colors == [figures.WRONG_COLOR] * wrong + [figures.RIGHT_COLOR] * (5 - wrong)
    said = f"{wrong} of 5 wrong" if wrong else "right"
    assert axes.texts[1].get_text() == f"AB:1>2 : AB?··  (AB···)  {said}"


@pytest.mark.parametrize("prediction", ["", "\x00\xff\x80$_^", "ÄÖ€漢", "ABCDEFGH"])
def test_the_picture_shows_any_answer(tmp_path, prediction):
    path = tmp_path / "answers.png"
    row = AnswerRow("ABCDE:" + " ".join(["1>2"] * 1024), prediction, "", [True] * 5)
    answers_picture({"worst $_^$": [row], "best": []}, path)
    assert matplotlib.image.imread(path).shape[1] < 2000


@pytest.mark.parametrize("width", [1, 26])
def test_a_long_question_loses_its_middle_and_stays_inside_the_picture(tmp_path, drawn, width):
    question = "ABCDE:" + "1>2 " * 50 + "4>5"
    row = AnswerRow(question, "A" * width, "B" * width, [True] * width)
    answers_picture({"worst": [row]}, tmp_path / "answers.png")
    (axes,) = drawn[0].axes
    (shown,) = (text.get_text() for text in axes.texts if text.get_text().startswith("ABCDE"))
    assert "… " in shown.partition("4>5 : ")[0]
    left, right = axes.get_xlim()
    for text in axes.texts:
        x = text.get_position()[0]
        assert left < x
        assert x + len(text.get_text()) <= right


def test_curves_are_drawn_for_each_trial_and_baseline(tmp_path, drawn):
    lines, baselines = {"a": [curve(1), curve(2)]}, {"copy": 77.5, "first 4": 40.0}
    training_curves(lines, tmp_path / "curves.png", baselines=baselines, with_loss=True)
    panels = dict(
        zip(("sample_error_pct", "mask_error_pct", "val_loss"), drawn[0].axes, strict=True)
    )
    for key, axes in panels.items():
        for line, points in zip(axes.lines, [curve(1), curve(2)], strict=False):
            assert list(line.get_xdata()) == [point["samples"] for point in points]
            assert list(line.get_ydata()) == [point[key] for point in points]
    assert [line.get_ydata()[0] for line in panels["mask_error_pct"].lines[2:]] == [77.5, 40.0]
    assert panels["val_loss"].get_yscale() == "log"


@pytest.mark.parametrize("trials", [[curve()[:1]], [curve(), []]])
def test_short_curves_are_drawn_and_the_global_state_of_matplotlib_stays(tmp_path, trials):
    before = dict(matplotlib.rcParams)
    training_curves(
        {"a": trials}, tmp_path / "curves.png", baselines={"copy": 77.5}, with_loss=True
    )
    assert matplotlib.image.imread(tmp_path / "curves.png").ndim == 3
    assert dict(matplotlib.rcParams) == before


def test_a_failed_picture_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def torn(_, tmp_path, **settings):
        tmp_path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(figures.Figure, "savefig", torn)
    with pytest.raises(OSError, match="no space"):
        training_curves({"a": [curve()]}, path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [
        ("curves.png", b"old")
    ]
