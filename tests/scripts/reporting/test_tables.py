"""Tables say what the data says, within a page's width."""

import pytest

from scripts.core.trial_summary import summarize
from scripts.reporting.tables import nops_table, trials_table, with_baselines
from tests.scripts.reporting.cases import answered, record
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines


def words(line):
    """A line with single spaces."""
    return " ".join(line.split())


@pytest.fixture(scope="module")
def by_nops():
    questions, references, predictions = answered("default", 1000)
    rates = error_rates(predictions, references, questions, 5)
    return with_baselines(rates, trivial_baselines(questions, 5), "by_nops")


def test_the_table_by_nops_puts_each_number_next_to_its_trivial_baselines(by_nops):
    header, *lines = nops_table(by_nops).splitlines()
    assert header.endswith("copy  guess  first 1  first 2  first 3  first 4")
    assert [int(line.split()[0]) for line in lines] == list(by_nops) == [1, 2, 3, 4, 5]
    for line in lines:
        cells = line.split()
        group = by_nops[int(cells[0])]
        low, high = group["sample_error_interval"]
        assert cells[1:5] == [
            str(group["questions"]),
            f"{group['sample_error_pct']:.2f}",
            f"{low:.2f}-{high:.2f}",
            f"{group['mask_error_pct']:.2f}",
        ]
        sample, mask = map(int, cells[5].split("/"))
        copy = group["floors"]["copy"]
        assert sample == pytest.approx(copy["sample_error_pct"], abs=0.999)
        assert mask == pytest.approx(copy["mask_error_pct"], abs=0.999)


def test_the_widest_table_by_nops_fits_110_columns_and_rounds_no_baseline_to_0_or_100(by_nops):
    level = {"sample_error_pct": 99.8, "mask_error_pct": 0.2}
    widest = {
        "questions": 100_000,
        "sample_error_pct": 100.0,
        "sample_error_interval": [99.99, 100.0],
        "mask_error_pct": 100.0,
        "floors": dict.fromkeys(by_nops[5]["floors"], level),
    }
    text = nops_table({1024: widest})
    assert max(map(len, text.splitlines())) <= 110
    assert text.endswith("99/1")


def test_the_table_over_trials_says_how_many_are_solved():
    results = summarize([record(0), record(1, sample_error_pct=0.5), record(2)])
    said, _, _, first, *rest = trials_table(results).splitlines()
    assert said == "solved 1 of 3 (0% to 91%): sample error at most 1% on validation"
    assert words(first) == "sample error % 3.17 4.50 2.31 0.50 4.50 3"
    assert "samples to 1% - - - - - 0" in map(words, rest)
    alone = trials_table(summarize([record()])).splitlines()
    assert words(alone[3]) == "sample error % 4.50 4.50 - 4.50 4.50 1"


def test_markdown_has_the_cells_of_the_text(by_nops):
    text, markdown = nops_table(by_nops), nops_table(by_nops, markdown=True)
    lines = markdown.splitlines()
    assert {line.count("|") for line in lines} == {12}
    assert set(lines.pop(1)) == set("|:-")
    assert [words(line.replace("|", " ")) for line in lines] == list(map(words, text.splitlines()))
