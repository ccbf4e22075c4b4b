"""The pictures of errors show the figures that they are given."""

import pytest

from scripts.reporting import figures
from scripts.reporting.figures import error_by_nops, survival_curves


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
