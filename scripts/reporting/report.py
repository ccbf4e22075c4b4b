"""Report a run: what is printed, and results.json, curves.png and answers.png."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.io import write_lines
from scripts.core.trial_store import SOLVED_PCT, TrialRecord, median_trial, summarize
from scripts.reporting.figures import AnswerRow, answers_picture, distinct, error_curves
from scripts.reporting.held_out import held_out_rows
from scripts.reporting.tables import nops_table, table, trials_table
from vsc_dataset.metrics.vsc_error.error_rates import error_rates, wrong_characters
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines

PICTURE_ROWS = 12
"""Answers in each block of the picture."""

ERRORS = ("sample_error_pct", "mask_error_pct")


class Answered(NamedTuple):
    """The questions of N samples, their true answers and a model's."""

    questions: Sequence[str]
    references: Sequence[str]
    predictions: Sequence[str]


def write_report(
    folder: Path,
    records: Sequence[TrialRecord],
    curves: Sequence[Sequence[Mapping[str, Any]]],
    validation: Answered,
    by_nops: Answered,
    answer_width: int,
    held_out: Mapping[str, Answered] | None = None,
    seen_pct: float | None = None,
    label_smoothing: float = 0.0,
) -> str:
    """Write curves.png, answers.png, report.txt and, last, results.json into the run's folder.

    Args:
      folder: exists; each file is replaced whole.
      records: the trials of one setting.
      curves: for each trial its validation points, as `error_curves` reads them.
      validation: all validation samples, answered by `median_trial(records)`.
      by_nops: samples over all trained numbers of operations, answered by the same trial.
      answer_width: W, characters of the answer field.
      held_out: samples of `test_programs` and `test`, answered by the same trial, if known.
      seen_pct: see `programs_seen`; None where it is unknown.
      label_smoothing: of the training loss.
    Returns:
      The report, to be printed.
    Raises:
      ValueError: no trials, trials of different settings, or as `error_rates`.
    """
    rates, levels = _measure(validation, answer_width)
    nops_rates, nops_levels = _measure(by_nops, answer_width)
    held_out_rates = {
        split: error_rates(a.predictions, a.references, a.questions, answer_width)
        for split, a in (held_out or {}).items()
    }
    results = {
        **summarize(records),
        "held_out": held_out_rates,
        "test_programs_seen_pct": seen_pct,
        "shown_seed": median_trial(records).seed,
        "floors": {name: {key: level[key] for key in ERRORS} for name, level in levels.items()},
        **{key: _with_baselines(key, nops_rates, nops_levels) for key in ("by_nops", "by_length")},
    }
    data = f" on {records[0].data}" if records[0].data else ""  # older trials do not say
    headline = (
        f"{results['recipe']}{data}, {results['parameters']:,} parameters, "
        f"{results['samples']:,} training samples"
    )
    parts = [
        f"{headline}:",
        *_held_out_parts(held_out_rates, seen_pct),
        trials_table(results),
        f"the median trial, seed {results['shown_seed']}, on {results['split']}:\n"
        f"{verdict(rates, levels)}",
        "by number of operations, next to the trivial baselines (sample/mask error %):\n"
        f"{nops_table(nops_rates['by_nops'], nops_levels)}",
    ]
    if label_smoothing:
        parts.append(
            f"The training loss has label smoothing of {label_smoothing:g}: it does not fall to "
            "zero where all answers are right."
        )
    text = "\n\n".join(parts)
    lines = {name: levels[name]["mask_error_pct"] for name in ("copy", "first 3", "first 4")}
    error_curves(curves, folder / "curves.png", lines, headline, label_smoothing)
    answers_picture(worst_and_best(validation, answer_width), folder / "answers.png")
    write_lines(folder / "report.txt", [text])
    # After all others: where it is, the run is whole.
    write_lines(folder / "results.json", [json.dumps(results, indent=2, allow_nan=False)])
    return text


def _held_out_parts(rates: Mapping[str, Any], seen_pct: float | None) -> list[str]:
    """Say the sample error on held-out programs, then on test samples, at the same nops."""
    parts = []
    if {"test_programs", "test"} <= rates.keys():
        header = ["nops", "held-out programs", "sample err % (95%)", "test", "sample err % (95%)"]
        rows = held_out_rows(rates["test_programs"], rates["test"])
        parts.append(f"the median trial on held-out programs and test:\n{table(header, rows)}")
    if seen_pct is not None:
        parts.append(
            f"{seen_pct:.1f}% of the test samples have a program that occurs in the training data "
            "(with other letters);\nof the held-out programs none does."
        )
    return parts


def _measure(answered: Answered, answer_width: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute error rates of the model, and of each trivial baseline on the same samples."""
    questions, references, predictions = answered
    return (
        error_rates(predictions, references, questions, answer_width),
        trivial_baselines(questions, answer_width),
    )


def _with_baselines(
    key: str, rates: Mapping[str, Any], levels: Mapping[str, Mapping[str, Any]]
) -> dict[int, dict[str, Any]]:
    """Add to the rates of each group the trivial baselines of the same group."""
    return {
        value: {
            **group,
            "floors": {name: {e: f[key][value][e] for e in ERRORS} for name, f in levels.items()},
        }
        for value, group in rates[key].items()
    }


def verdict(rates: Mapping[str, Any], levels: Mapping[str, Mapping[str, Any]]) -> str:
    """Say both errors, and between which trivial baselines of the tables the mask error is.

    Args:
      rates: as `error_rates` gives them.
      levels: {trivial baseline: rates on the same samples}.

    >>> rates = {"sample_error_pct": 99.5, "sample_error_interval": [99.4, 99.6],
    ...          "mask_error_pct": 65.1, "mask_error_interval": [64.7, 65.5]}
    >>> verdict(rates, {"copy": {"mask_error_pct": 77.5}, "first 3": {"mask_error_pct": 60.0}})
    'sample error 99.50% (99.40-99.60), mask error 65.10% (64.70-65.50): above first 3 (60.00%), \
below copy (77.50%)'
    """
    parts = []
    for name in ("sample_error", "mask_error"):
        low, high = rates[f"{name}_interval"]
        called = name.replace("_", " ")
        parts.append(f"{called} {rates[f'{name}_pct']:.2f}% ({low:.2f}-{high:.2f})")
    errors = ", ".join(parts)
    if rates["sample_error_pct"] <= SOLVED_PCT:
        return f"{errors}: solved"
    low, high = rates["mask_error_interval"]
    masks = {
        name: level["mask_error_pct"]
        for name, level in sorted(levels.items(), key=lambda item: item[1]["mask_error_pct"])
        if not name.startswith("last")  # which no table shows
    }
    below = [f"{name} ({mask:.2f}%)" for name, mask in masks.items() if mask < low][-1:]
    equal = [f"{name} ({mask:.2f}%)" for name, mask in masks.items() if low <= mask <= high]
    above = [f"{name} ({mask:.2f}%)" for name, mask in masks.items() if mask > high][:1]
    if equal:
        return f"{errors}: mask error as that of {', '.join(equal)}"
    words = [*(f"above {name}" for name in below), *(f"below {name}" for name in above)]
    return f"{errors}: {', '.join(words)}"


def worst_and_best(
    answered: Answered, answer_width: int, rows: int = PICTURE_ROWS
) -> dict[str, list[AnswerRow]]:
    """Choose the rows of the picture, under titles that count.

    Returns:
      {title: at most `rows` rows}: the answers with most wrong characters, then those with fewest,
      once where both are the same; among equals the longest questions, because they are the
      hardest.
    Raises:
      ValueError: as `error_rates`.
    """
    questions, references, predictions = answered
    wrong_NxW = wrong_characters(predictions, references, answer_width)
    count_N = wrong_NxW.sum(axis=1).tolist()
    total, wrong = len(questions), sum(count > 0 for count in count_N)
    longest_first = sorted(range(total), key=lambda i: -len(questions[i]))
    orders = {
        f"worst: {wrong:,} of {total:,} answers are wrong": lambda i: -count_N[i],
        f"best: {total - wrong:,} of {total:,} answers are right": lambda i: count_N[i],
    }
    return distinct(
        {
            title: [
                AnswerRow(questions[i], predictions[i], references[i], wrong_NxW[i].tolist())
                for i in sorted(longest_first, key=order)[:rows]
            ]
            for title, order in orders.items()
        }
    )
