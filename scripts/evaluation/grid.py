"""Evaluate a model against the number of operations, and find its horizon."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from torch import nn
from tqdm import tqdm

from scripts.core.inference import BATCH_SIZE, measure
from scripts.core.model_loading import LoadedModel, adapt_config_to_model, longest_row, row_width
from scripts.core.trial_store import SOLVED_PCT
from vsc_dataset import Examples, sample
from vsc_dataset.checking import nearest
from vsc_dataset.configs import TaskConfig, make_config
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.metrics.vsc_error.trivial_baselines import KS, baseline_predictions
from vsc_models.import_utils import format_error

HORIZON_GRID = "grid-len5"
UNREADABLE = (IndexError, RuntimeError, ValueError, AssertionError)
"""What models raise for rows that are longer than their positions."""

QUESTIONS = 1000
"""Of each number of operations: what the horizon is defined by."""

STOP_PCT = 99.0
"""A grid ends after two numbers of operations with at least this sample error."""


def horizon(
    model: nn.Module | LoadedModel,
    config_name: str = HORIZON_GRID,
    num_questions: int = QUESTIONS,
    batch_size: int = BATCH_SIZE,
) -> int | str:
    """Find the largest listed number of operations up to which the model solves every one.

    Args:
      model: see `evaluate_grid`.
      config_name, num_questions: 5 letters and 1,000 questions by definition.
      batch_size: see `predict`.
    Returns:
      A number of operations, 0 where not even the first is solved, or ">1024" where the list ends.
    """
    rows = evaluate_grid(model, config_name, None, num_questions, batch_size, until_wrong=True)
    return horizon_of(list(rows), published(config_name))


def horizon_of(rows: Sequence[Mapping[str, Any]], listed: Sequence[int]) -> int | str:
    """Find the horizon in rows of `evaluate_grid`.

    Args:
      rows: in rising order, without a gap from the first of `listed`.
      listed: the published numbers of operations.
    Raises:
      ValueError: a number is left out, so the horizon is unknown.

    >>> row = lambda nops, error: {"nops": nops, "sample_error_pct": error}
    >>> horizon_of([row(1, 0.0), row(2, 1.0), row(3, 1.1), row(4, 0.0)], [1, 2, 3, 4])
    2
    >>> horizon_of([row(1, 0.0), row(2, 0.1)], [1, 2])
    '>2'
    """
    solved: int = 0
    for row, nops in zip(rows, listed, strict=False):
        if row["nops"] != nops:
            raise ValueError(f"nops {nops} was not evaluated: a horizon needs all up to it")
        if row["sample_error_pct"] > SOLVED_PCT:
            return solved
        solved = nops
    return f">{solved}" if len(rows) == len(listed) else solved


def published(config_name: str) -> list[int]:
    """List the numbers of operations of a grid.

    Raises:
      ValueError: there is no configuration of that name, or it is not a grid.
    """
    config = make_config(config_name)
    if not config.grid_nops:
        raise ValueError(f"configuration {config_name!r} is not a grid, such as 'grid-len5'")
    return [int(split.removeprefix("nops")) for split in config.splits]


def fitting(loaded: LoadedModel, config_name: str) -> list[int]:
    """List the numbers of operations of a grid whose rows the model can read, see `longest_row`.

    Raises:
      ValueError: as `adapt_config_to_model`.
    """
    limit, listed = longest_row(loaded.model), published(config_name)
    widths = (_config(loaded, config_name, nops).row_width for nops in listed)
    return [n for n, width in zip(listed, widths, strict=True) if limit is None or width <= limit]


def evaluate_grid(
    model: nn.Module | LoadedModel,
    config_name: str = HORIZON_GRID,
    nops_list: Sequence[int] | None = None,
    num_questions: int = QUESTIONS,
    batch_size: int = BATCH_SIZE,
    until_wrong: bool = False,
    whole: bool = False,
) -> Iterator[dict[str, Any]]:
    """Evaluate a model on a grid, one number of operations after the other.

    A row of n operations is padded to the longest possible one of n, not of the grid, but see
    `row_width`. The grid ends where the model cannot read the rows, and after two numbers with at
    least STOP_PCT sample error.

    Args:
      model: stays on its device. A LoadedModel also says its format where its config does not.
      config_name: such as "grid-len5" (exchanges) or "grid-all-len5".
      nops_list: in rising order; None takes all that the model can read.
      num_questions: of each number.
      batch_size: see `predict`.
      until_wrong: stop after the first number that is not solved.
      whole: go on whatever the sample error is.
    Yields:
      nops, questions, sample_error_pct, sample_error_interval, mask_error_pct,
      mask_error_interval, seconds, questions_per_second, and floors: for copy and the first k
      operations {name: {sample_error_pct, mask_error_pct}}.
    Raises:
      ValueError: no such grid or number, or as `adapt_config_to_model`.
    """
    loaded = model if isinstance(model, LoadedModel) else LoadedModel("the model", model)
    listed = published(config_name)
    errors: list[float] = []
    for nops in fitting(loaded, config_name) if nops_list is None else nops_list:
        if nops not in listed:
            raise ValueError(
                f"{config_name} has no {nops} operations: {nearest(str(nops), map(str, listed))}"
            )
        config = _config(loaded, config_name, nops)
        width = row_width(loaded, config)
        samples = sample(config, f"nops{nops}", range(num_questions), pad_to=width)
        try:
            measured = measure(loaded.model, samples, batch_size=batch_size)
        except UNREADABLE as error:
            if not errors:
                raise
            words = f"{loaded.name} {config_name}: {nops} operations are too long for the model"
            tqdm.write(f"{words} ({format_error(error)})", file=sys.stderr)
            return
        assert measured.seconds
        yield {
            "nops": nops,
            **{key: value for key, value in measured.rates.items() if not key.startswith("by_")},
            "seconds": measured.seconds,
            "questions_per_second": num_questions / measured.seconds,
            "floors": _floors(config, nops, num_questions),
        }
        errors.append(measured.rates["sample_error_pct"])
        if (until_wrong and errors[-1] > SOLVED_PCT) or (not whole and unsolvable(errors)):
            return


def unsolvable(errors: Sequence[float]) -> bool:
    """Return whether the last two sample errors are at least STOP_PCT.

    >>> unsolvable([100.0]), unsolvable([3.0, 99.0, 100.0])
    (False, True)
    """
    return len(errors) > 1 and min(errors[-2:]) >= STOP_PCT


def _config(loaded: LoadedModel, config_name: str, nops: int) -> TaskConfig:
    """Make the part of a grid with one number of operations, in the model's format."""
    config = make_config(config_name)
    return adapt_config_to_model(loaded, replace(config, grid_nops=(nops,)), config_name)


@lru_cache(maxsize=256)
def _floors(config: TaskConfig, nops: int, num_questions: int) -> dict[str, dict[str, float]]:
    """Compute both errors of copying and of executing the first k operations.

    These read no more than the first operations, so that long programs need not be executed.
    """
    samples: Examples = sample(
        replace(config, layout="compact"), f"nops{nops}", range(num_questions)
    )
    short = [" ".join(question.split(" ", max(KS))[: max(KS)]) for question in samples.questions()]
    answers = samples.answers()
    rates = {
        name: error_rates(texts, answers, answer_width=config.answer_width)
        for name, texts in baseline_predictions(short).items()
        if name == "copy" or name.startswith("first")
    }
    return {
        name: {key: found[key] for key in ("sample_error_pct", "mask_error_pct")}
        for name, found in rates.items()
    }
