"""Report a run: what is printed, and results.json, curves.png and answers.png."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.io import write_lines
from scripts.core.trial_store import SOLVED_PCT, TrialRecord, median_trial, summarize
from scripts.reporting.figures import AnswerRow, answers_picture, distinct, error_curves
from scripts.reporting.tables import nops_table, trials_table
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
) -> str:
    """Write curves.png, answers.png, report.txt and, last, results.json into the run's folder.

    Args:
      folder: exists; each file is replaced whole.
      records: the trials of one setting.
      curves: for each trial its validation points, as `error_curves` reads them.
      validation: all validation samples, answered by `median_trial(records)`.
      by_nops: samples over all trained numbers of operations, answered by the same trial.
      answer_width: W, characters of the answer field.
    Returns:
      The report, to be printed.
    Raises:
      ValueError: no trials, trials of different settings, or as `error_rates`.
    """
    rates, levels = _measure(validation, answer_width)
    nops_rates, nops_levels = _measure(by_nops, answer_width)
    results = {
        **summarize(records),
        "shown_seed": median_trial(records).seed,
        "floors": {name: {key: level[key] for key in ERRORS} for name, level in levels.items()},
        **{key: _with_baselines(key, nops_rates, nops_levels) for key in ("by_nops", "by_length")},
    }
    data = f" on {records[0].data}" if records[0].data else ""  # older trials do not say
    headline = (
        f"{results['recipe']}{data}, {results['parameters']:,} parameters, "
        f"{results['samples']:,} training samples"
    )
    text = (
        f"{headline}:\n{trials_table(results)}\n\n"
        f"the median trial, seed {results['shown_seed']}, on {results['split']}:\n"
        f"{verdict(rates, levels)}\n\n"
        "by number of operations, next to the trivial baselines (sample/mask error %):\n"
        f"{nops_table(nops_rates['by_nops'], nops_levels)}"
    )
    lines = {name: levels[name]["mask_error_pct"] for name in ("copy", "first 3", "first 4")}
    error_curves(curves, folder / "curves.png", lines, headline)
    answers_picture(worst_and_best(validation, answer_width), folder / "answers.png")
    write_lines(folder / "report.txt", [text])
    # After all others: where it is, the run is whole.
    write_lines(folder / "results.json", [json.dumps(results, indent=2, allow_nan=False)])
    return text


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
    """Say both errors in words, and where they stand among the trivial baselines.

    Args:
      rates: as `error_rates` gives them.
      levels: {trivial baseline: rates on the same samples}.
    Returns:
      One line. For a model that has not solved the task it names the baseline whose mask error is
      nearest, or the lowest one where the model is below them all.

    >>> rates = {"sample_error_pct": 99.5, "sample_error_interval": [99.4, 99.6],
    ...          "mask_error_pct": 60.1, "mask_error_interval": [59.7, 60.5]}
    >>> verdict(rates, {"copy": {"mask_error_pct": 77.5}, "first 3": {"mask_error_pct": 60.0}})
    'sample error 99.50% (99.40-99.60), mask error 60.10% (59.70-60.50): as first 3 (60.00%)'
    """
    parts = []
    for name in ("sample_error", "mask_error"):
        low, high = rates[f"{name}_interval"]
        called = name.replace("_", " ")
        parts.append(f"{called} {rates[f'{name}_pct']:.2f}% ({low:.2f}-{high:.2f})")
    errors = ", ".join(parts)
    if rates["sample_error_pct"] <= SOLVED_PCT:
        return f"{errors}: solved"
    masks = {name: level["mask_error_pct"] for name, level in levels.items()}
    nearest = min(masks, key=lambda name: abs(masks[name] - rates["mask_error_pct"]))
    low, high = rates["mask_error_interval"]
    word = "as" if low <= masks[nearest] <= high else "nearest to"
    if high < min(masks.values()):
        word = "below even"
    return f"{errors}: {word} {nearest} ({masks[nearest]:.2f}%)"


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
