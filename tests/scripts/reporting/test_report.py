"""The report of a run: its files are whole, and its pictures and words say what was got wrong."""

import json
import re
from dataclasses import replace

import matplotlib
import matplotlib.image
import pytest

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
    first = replace(config, nops=(1, 1))
    seen = [program(q) for q in sample(first, "train", range(300), seed=3).questions()]
    share = sum(program(q) in seen for q in sample(config, "test", range(200)).questions()) / 2
    assert programs_seen(config, "test", 3, 300, [(0, first), (300, config)]) == share


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
