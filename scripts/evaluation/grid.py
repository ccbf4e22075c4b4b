"""A model and a grid's name -> its error against the number of operations, and its horizon."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from torch import nn

from scripts.core.inference import BATCH_SIZE, measure
from scripts.core.model_loading import LoadedModel, adapt_config_to_model, longest_row, row_width
from scripts.core.records import SOLVED_PCT
from vsc_dataset import Examples, sample
from vsc_dataset.checking import nearest
from vsc_dataset.configs import TaskConfig, make_config
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.metrics.vsc_error.floors import KS, floor_predictions

HORIZON_GRID = "grid-len5"
QUESTIONS = 1000
"""Of each number of operations: what the horizon is defined by."""


def horizon(
    model: nn.Module | LoadedModel,
    config_name: str = HORIZON_GRID,
    num_questions: int = QUESTIONS,
    batch_size: int = BATCH_SIZE,
) -> int | str:
    """The largest listed number of operations up to which the model solves every one.

    Args:
      model: see `ask_grid`.
      config_name, num_questions: 5 letters and 1,000 questions by definition.
      batch_size: see `predict`.
    Returns:
      A number of operations, 0 where not even the first is solved, or ">1024" where the list ends.
    """
    rows = ask_grid(model, config_name, None, num_questions, batch_size, until_wrong=True)
    return horizon_of(list(rows), published(config_name))


def horizon_of(rows: Sequence[Mapping[str, Any]], listed: Sequence[int]) -> int | str:
    """The horizon from rows of `ask_grid`.

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
            raise ValueError(f"nops {nops} was not asked: a horizon needs every number up to it")
        if row["sample_error_pct"] > SOLVED_PCT:
            return solved
        solved = nops
    return f">{solved}" if len(rows) == len(listed) else solved


def published(config_name: str) -> list[int]:
    """The numbers of operations of a grid.

    Raises:
      ValueError: there is no configuration of that name, or it is no grid.
    """
    config = make_config(config_name)
    if not config.grid_nops:
        raise ValueError(f"configuration {config_name!r} is no grid: use one such as 'grid-len5'")
    return [int(split.removeprefix("nops")) for split in config.splits]


def fitting(candidate: LoadedModel, config_name: str) -> list[int]:
    """The numbers of operations of a grid whose rows the model can read, see `longest_row`.

    Raises:
      ValueError: as `adapt_config_to_model`.
    """
    limit, listed = longest_row(candidate.model), published(config_name)
    widths = (_config(candidate, config_name, nops).row_width for nops in listed)
    return [n for n, width in zip(listed, widths, strict=True) if limit is None or width <= limit]


def ask_grid(
    model: nn.Module | LoadedModel,
    config_name: str = HORIZON_GRID,
    nops_list: Sequence[int] | None = None,
    num_questions: int = QUESTIONS,
    batch_size: int = BATCH_SIZE,
    until_wrong: bool = False,
) -> Iterator[dict[str, Any]]:
    """Ask the questions of a grid, one number of operations after the other.

    A row of n operations is padded to the longest possible one of n, not of the grid, but see
    `row_width`.

    Args:
      model: stays on its device. A LoadedModel also tells its terms where its config does not.
      config_name: such as "grid-len5" (exchanges) or "grid-all-len5".
      nops_list: in rising order; None takes all that the model can read.
      num_questions: of each number.
      batch_size: see `predict`.
      until_wrong: stop behind the first number that is not solved.
    Yields:
      nops, questions, sample_error_pct, sample_error_interval, mask_error_pct,
      mask_error_interval, seconds, questions_per_second, and floors: for copy and the first k
      operations {name: {sample_error_pct, mask_error_pct}}.
    Raises:
      ValueError: no such grid or number, or as `adapt_config_to_model`.
    """
    candidate = model if isinstance(model, LoadedModel) else LoadedModel("the model", model)
    listed = published(config_name)
    for nops in fitting(candidate, config_name) if nops_list is None else nops_list:
        if nops not in listed:
            raise ValueError(
                f"{config_name} has no {nops} operations: {nearest(str(nops), map(str, listed))}"
            )
        config = _config(candidate, config_name, nops)
        width = row_width(candidate, config)
        examples = sample(config, f"nops{nops}", range(num_questions), pad_to=width)
        found = measure(candidate.model, examples, batch_size=batch_size)
        assert found.seconds
        yield {
            "nops": nops,
            **{key: value for key, value in found.rates.items() if not key.startswith("by_")},
            "seconds": found.seconds,
            "questions_per_second": num_questions / found.seconds,
            "floors": _floors(config, nops, num_questions),
        }
        if until_wrong and found.rates["sample_error_pct"] > SOLVED_PCT:
            return


def _config(candidate: LoadedModel, config_name: str, nops: int) -> TaskConfig:
    """The part of a grid with one number of operations, in the model's terms."""
    config = make_config(config_name)
    return adapt_config_to_model(candidate, replace(config, grid_nops=(nops,)), config_name)


@lru_cache(maxsize=256)
def _floors(config: TaskConfig, nops: int, num_questions: int) -> dict[str, dict[str, float]]:
    """Both errors of copying and of executing the first k operations.

    These read no more than the first operations, so that long programs need not be executed.
    """
    examples: Examples = sample(
        replace(config, layout="compact"), f"nops{nops}", range(num_questions)
    )
    short = [" ".join(question.split(" ", max(KS))[: max(KS)]) for question in examples.questions()]
    answers = examples.answers()
    rates = {
        name: error_rates(texts, answers, answer_width=config.answer_width)
        for name, texts in floor_predictions(short).items()
        if name == "copy" or name.startswith("first")
    }
    return {
        name: {key: found[key] for key in ("sample_error_pct", "mask_error_pct")}
        for name, found in rates.items()
    }
