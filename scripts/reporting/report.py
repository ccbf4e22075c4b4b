"""Report a run: what is printed, and results.json, curves.png and answers.png."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.io import write_lines
from scripts.core.trial_store import TrialRecord, median_trial, summarize
from scripts.reporting.figures import AnswerRow, answers_picture, training_curves
from scripts.reporting.tables import (
    Rates,
    both_errors,
    nops_table,
    rate_cells,
    table,
    trials_table,
    with_baselines,
)
from vsc_dataset.metrics.vsc_error.error_rates import error_rates, wrong_characters
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines

PICTURE_ROWS = 12
"""Answers in each block of the picture."""


class Answered(NamedTuple):
    """The questions of N samples, their true answers and a model's."""

    questions: Sequence[str]
    references: Sequence[str]
    predictions: Sequence[str]


def write_report(
    folder: Path,
    records: Sequence[TrialRecord],
    curves: Sequence[Sequence[Mapping[str, Any]]],
    answered: Mapping[str, Answered],
    answer_width: int,
    seen_pct: float | None = None,
) -> str:
    """Write curves.png, answers.png, report.txt and, last, results.json into the run's folder.

    `records` are trials of one setting, `curves` their validations. `answered` is what the median
    one answered: all `validation` samples, `by_nops`, over all trained numbers of operations, and,
    if known, `test` and `test_programs`; `seen_pct` is of `programs_seen`. The report is returned.
    """
    rates = {
        part: error_rates(texts.predictions, texts.references, texts.questions, answer_width)
        for part, texts in answered.items()
    }
    baselines = trivial_baselines(answered["validation"].questions, answer_width)
    levels = trivial_baselines(answered["by_nops"].questions, answer_width)
    results = {
        **summarize(records),
        "held_out": {part: rates[part] for part in ("test", "test_programs") if part in rates},
        "test_programs_seen_pct": seen_pct,
        "shown_seed": median_trial(records).seed,
        "floors": {name: both_errors(level) for name, level in baselines.items()},
        **{k: with_baselines(rates["by_nops"], levels, k) for k in ("by_nops", "by_length")},
    }
    text = _describe(results, records[0].data)
    lines = {name: baselines[name]["mask_error_pct"] for name in ("copy", "first 3", "first 4")}
    title = text.partition(":")[0]
    names = {f"trials: {len(curves)}": curves}
    training_curves(names, folder / "curves.png", title, lines, with_loss=True)
    blocks = worst_and_best(answered["validation"], answer_width)
    answers_picture(blocks, folder / "answers.png")
    write_lines(folder / "report.txt", [text])
    # After all others: where it is, the run is whole.
    write_lines(folder / "results.json", [json.dumps(results, indent=2, allow_nan=False)])
    return text


def _describe(results: Mapping[str, Any], data: str) -> str:
    """Write the report: held-out programs first, then all trials, then the median one."""
    parts = [
        f"{results['recipe']} on {data}, {results['parameters']:,} parameters, "
        f"{results['samples']:,} training samples:"
    ]
    held_out = results["held_out"]
    if len(held_out) == 2:
        rows = held_out_table(held_out["test_programs"], held_out["test"])
        parts.append(f"the median trial on held-out programs and test:\n{rows}")
    if (seen := results["test_programs_seen_pct"]) is not None:
        parts.append(f"{seen:.1f}% of the test samples have a program that training has seen.")
    parts += [
        trials_table(results),
        f"the median trial, seed {results['shown_seed']}, by number of operations, next to the "
        f"trivial baselines (sample/mask error %):\n{nops_table(results['by_nops'])}",
    ]
    return "\n\n".join(parts)


def held_out_table(programs: Rates, test: Rates) -> str:
    """Lay out both sample errors, with 95% intervals, at the numbers of operations of both."""
    header = ["nops", "held-out programs", "sample err % (95%)", "test", "sample err % (95%)"]
    rows = []
    for nops in sorted(programs["by_nops"].keys() & test["by_nops"].keys()):
        cells = [rate_cells(rates["by_nops"][nops]) for rates in (programs, test)]
        rows.append([str(nops), *(c for n, e, i, _ in cells for c in (n, f"{e} ({i})"))])
    return table(header, rows)


def worst_and_best(
    answered: Answered, answer_width: int, rows: int = PICTURE_ROWS
) -> dict[str, list[AnswerRow]]:
    """Choose the rows of the picture, at most `rows` under each title.

    They are the answers with most wrong characters, then those with fewest; among equals the
    longest questions, because they are the hardest.
    """
    questions, references, predictions = answered
    wrong_NxW = wrong_characters(predictions, references, answer_width).tolist()
    answers = list(map(AnswerRow, questions, predictions, references, wrong_NxW))
    answers.sort(key=lambda row: -len(row.question))
    worst = sorted(answers, key=lambda row: -sum(row.wrong))[:rows]
    best = sorted(answers, key=lambda row: sum(row.wrong))[:rows]
    total, wrong = len(answers), sum(any(row.wrong) for row in answers)
    return {
        f"worst: {wrong:,} of {total:,} answers are wrong": worst,
        f"best: {total - wrong:,} of {total:,} answers are right": best,
    }
