"""Evaluate a model against the number of operations, and find its horizon."""

import sys
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tqdm import tqdm

from scripts.core.inference import measure
from scripts.core.model_loading import LoadedModel, adapt_config_to_model, row_width
from scripts.core.statistics import find_horizon, grid_nops, is_within_horizon
from scripts.reporting.tables import both_errors
from vsc_dataset import sample
from vsc_dataset.configs import TaskConfig, make_config
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.metrics.vsc_error.trivial_baselines import KS, baseline_predictions
from vsc_models.import_utils import format_error

UNREADABLE = (IndexError, RuntimeError, ValueError, AssertionError)
"""What models raise for rows that are longer than their positions."""

SAMPLES = 1000
"""Of each number of operations: what the horizon is defined by."""

FAILED_PCT = 99.0
"""A grid ends after two numbers of operations with at least this sample error."""

ENDS = {
    "failed": f"at least {FAILED_PCT:g}% sample error at two numbers of operations",
    "beyond": "the horizon ends there",
    "unreadable": "longer rows are too long for the model",
}
"""Why a grid ended before its last number of operations."""


def evaluate_grid(
    loaded: LoadedModel, grid: str, num_samples: int = SAMPLES, until_wrong: bool = False
) -> dict[str, Any]:
    """Evaluate a model on a grid, such as "grid-len5", one number of operations after the other.

    With `until_wrong` it ends where the horizon does.

    Returns:
      grid, length, answer_width, layout, questions, horizon, questions_per_second, ended (a key of
      ENDS, or "" at the last number) and rows, see `evaluate_nops`.
    """
    listed = grid_nops(grid)
    config = split_config(loaded, grid, f"nops{listed[0]}")
    rows, ended = _evaluate_rows(loaded, grid, num_samples, until_wrong)
    return {
        "grid": grid,
        "length": config.length[1],
        "answer_width": config.answer_width,
        "layout": config.layout,
        "questions": num_samples,
        "horizon": find_horizon(rows, listed),
        "questions_per_second": num_samples * len(rows) / sum(row["seconds"] for row in rows),
        "ended": ended,
        "rows": rows,
    }


def _evaluate_rows(
    loaded: LoadedModel, grid: str, num_samples: int, until_wrong: bool
) -> tuple[list[dict[str, Any]], str]:
    """Evaluate the numbers of operations in rising order, and say why it ended before the last."""
    rows: list[dict[str, Any]] = []
    listed = grid_nops(grid)
    for nops in tqdm(listed, f"{loaded.name} {grid}", unit="nops", disable=None):
        try:
            rows.append(evaluate_nops(loaded, grid, nops, num_samples))
        except UNREADABLE as error:
            from accelerate.utils.memory import should_reduce_batch_size  # it takes a second

            if not rows or should_reduce_batch_size(error):  # the machine's limit, not the model's
                raise
            words = f"{loaded.name} {grid}: {nops} operations are too long for the model"
            tqdm.write(f"{words} ({format_error(error)})", file=sys.stderr)
            return rows, "unreadable"
        if nops == listed[-1]:
            break
        if until_wrong and not is_within_horizon(rows[-1]):
            return rows, "beyond"
        errors = [row["sample_error_pct"] for row in rows[-2:]]
        if len(errors) == 2 and min(errors) >= FAILED_PCT:
            return rows, "failed"
    return rows, ""


def evaluate_nops(loaded: LoadedModel, grid: str, nops: int, num_samples: int) -> dict[str, Any]:
    """Evaluate a model on the samples of a grid with one number of operations.

    Returns:
      nops, questions, sample_error_pct, sample_error_interval, mask_error_pct,
      mask_error_interval, seconds, questions_per_second, and floors: for copy and the first k
      operations {name: {sample_error_pct, mask_error_pct}}.
    """
    config = split_config(loaded, grid, f"nops{nops}")
    width = row_width(loaded, config)
    samples = sample(config, f"nops{nops}", range(num_samples), pad_to=width)
    measured = measure(loaded.model, samples)
    return {
        "nops": nops,
        **{key: value for key, value in measured.rates.items() if not key.startswith("by_")},
        "seconds": measured.seconds,
        "questions_per_second": num_samples / measured.seconds,
        "floors": _first_operations_errors(config, nops, num_samples),
    }


def split_config(
    loaded: LoadedModel, name: str, split: str, config: TaskConfig | None = None
) -> TaskConfig:
    """Return `config`, or that of the name, in the model's format; of a grid, this split's part."""
    config = adapt_config_to_model(loaded, config or make_config(name), name)
    if split not in config.splits:
        raise ValueError(
            f"split {split!r} does not exist in {name}: use one of {list(config.splits)}"
        )
    if config.grid_nops:  # else a row of one operation is as wide as one of 1,024
        config = replace(config, grid_nops=(int(split.removeprefix("nops")),))
    return config


@lru_cache(maxsize=256)
def _first_operations_errors(
    config: TaskConfig, nops: int, num_samples: int
) -> dict[str, dict[str, float]]:
    """Compute both errors of copying and of executing the first k operations.

    These read no more than the first operations, so that long programs need not be executed.
    """
    samples = sample(replace(config, layout="compact"), f"nops{nops}", range(num_samples))
    short = [" ".join(question.split(" ", max(KS))[: max(KS)]) for question in samples.questions()]
    answers = samples.answers()
    rates = {
        name: error_rates(texts, answers, answer_width=config.answer_width)
        for name, texts in baseline_predictions(short).items()
        if name == "copy" or name.startswith("first")
    }
    return {name: both_errors(errors) for name, errors in rates.items()}
