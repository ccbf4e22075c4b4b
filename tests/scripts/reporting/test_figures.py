"""Pictures show the figures and answers that they are given, and are whole."""

import matplotlib
import matplotlib.image
import pytest
from matplotlib.colors import to_hex

from scripts.reporting import figures
from scripts.reporting.answers import Answered, worst_and_best
from scripts.reporting.figures import (
    AnswerRow,
    answers_picture,
    error_by_nops,
    survival_curves,
    training_curves,
)
from tests.scripts.reporting.cases import curve


def rows(errors):
    """Rows of a grid; mask error is half of sample error."""
    return [
        {
            "nops": nops, "questions": 1000,
            "sample_error_pct": error, "sample_error_interval": [error - 1, error + 1],
            "mask_error_pct": error / 2, "mask_error_interval": [error / 2 - 1, error / 2 + 1],
            "floors": {
                name: {"sample_error_pct": 100.0, "mask_error_pct": 80.0 - nops}
                for name in ("copy", "first 1")
            },
        }
        for nops, error in errors.items()
    ]  # fmt: skip


@pytest.fixture
def drawn(monkeypatch):
    saved = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, *_: saved.append(figure))
    return saved


def test_curves_hold_every_error_and_baseline(drawn, tmp_path):
    lines = {"a": rows({1: 0.0, 2: 3.0, 8: 50.0}), "b": rows({1: 7.0})}
    error_by_nops(lines, tmp_path / "x.png", "title")
    sample, mask = drawn[0].axes
    assert [list(line.get_ydata()) for line in sample.lines[:2]] == [[0, 3, 50], [7]]
    assert [list(line.get_ydata()) for line in mask.lines[:2]] == [[0, 1.5, 25], [3.5]]
    assert list(mask.lines[0].get_xdata()) == [1, 2, 8]
    assert [list(line.get_ydata()) for line in mask.lines[2:]] == [[79, 78, 72]] * 2


def test_the_survival_curve_holds_every_share(drawn, tmp_path):
    survival_curves({"a": {1: 100.0, 2: 40.0}, "b": {2: 7.0}}, tmp_path / "x.png")
    (axes,) = drawn[0].axes
    points = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    assert points == [([1, 2], [100, 40]), ([2], [7])]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2"]


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
    keys = "sample_error_pct", "mask_error_pct", "val_loss"
    panels = dict(zip(keys, drawn[0].axes, strict=True))
    for key, axes in panels.items():
        for line, points in zip(axes.lines, [curve(1), curve(2)], strict=False):
            assert list(line.get_xdata()) == [point["samples"] for point in points]
            assert list(line.get_ydata()) == [point[key] for point in points]
    assert [line.get_ydata()[0] for line in panels["mask_error_pct"].lines[2:]] == [77.5, 40.0]
    assert panels["val_loss"].get_yscale() == "log"


@pytest.mark.parametrize("trials", [[curve()[:1]], [curve(), []]])
def test_short_curves_are_drawn_and_the_global_state_of_matplotlib_stays(tmp_path, trials):
    before = dict(matplotlib.rcParams)
    path = tmp_path / "curves.png"
    training_curves({"a": trials}, path, baselines={"copy": 77.5}, with_loss=True)
    assert matplotlib.image.imread(path).ndim == 3
    assert dict(matplotlib.rcParams) == before


def test_a_failed_picture_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def torn(_, tmp_path, **settings):
        tmp_path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", torn)
    with pytest.raises(OSError, match="no space"):
        training_curves({"a": [curve()]}, path)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"old"
