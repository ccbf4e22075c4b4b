"""The report of a run: its files are whole, and its pictures and words say what was got wrong."""

import json
import re

import matplotlib
import matplotlib.image
import pytest

from scripts.training.run_report import write_report
from tests.scripts.reporting.cases import answered, curve, record

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
