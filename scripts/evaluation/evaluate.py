"""Candidates and what they are asked -> one result each, plain data as evaluation.json holds it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from typing import Any

from tqdm import tqdm

from scripts.core.inference import BATCH_SIZE, measure, predict
from scripts.core.model_loading import (
    LoadedModel,
    adapt_config_to_model,
    device_name,
    longest_row,
    row_width,
)
from scripts.evaluation.first_error import count_steps, cut_config, first_wrong_steps
from scripts.evaluation.grid import QUESTIONS, ask_grid, fitting, horizon_of, published
from vsc_dataset import sample
from vsc_dataset.configs import CONFIGS, TaskConfig, make_config
from vsc_dataset.metrics.vsc_error.floors import floors

ANSWERS = ("questions", "references", "predictions")


@dataclass(frozen=True)
class Request:
    """What all candidates are asked.

    Attributes:
      data: a configuration's name; None is each candidate's own, or "default".
      split: of `data`.
      grids: names of grids, asked in place of `data`.
      num_questions: of the split, or of each number of operations; None is all, or 1,000.
      batch_size: questions of one forward call at most.
      until_wrong: a grid stops behind the first number of operations that is not solved.
    """

    data: str | None = None
    split: str = "test"
    grids: tuple[str, ...] = ()
    num_questions: int | None = None
    batch_size: int = BATCH_SIZE
    until_wrong: bool = False


def grid_names(exchanges: bool, all_operations: bool, lengths: Sequence[int]) -> tuple[str, ...]:
    """The names of the grids of these kinds and lengths.

    Raises:
      ValueError: there is no grid of a length.

    >>> grid_names(True, True, [5, 3])
    ('grid-len3', 'grid-len5', 'grid-all-len3', 'grid-all-len5')
    """
    kinds = ["grid"] * exchanges + ["grid-all"] * all_operations
    known = sorted(c.length[1] for name, c in CONFIGS.items() if name.startswith("grid-len"))
    for length in lengths:
        if length not in known:
            raise ValueError(f"--length {length}: there is no grid of it, use some of {known}")
    return tuple(f"{kind}-len{length}" for kind in kinds for length in sorted(set(lengths)))


def check_request(candidates: Sequence[LoadedModel], request: Request) -> None:
    """Raise a ValueError for what some candidate cannot be asked, before any is."""
    for name in ("num_questions", "batch_size"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} {value} must be 1 or more")
    for candidate in candidates:
        for grid in request.grids:
            if not fitting(candidate, grid):
                raise ValueError(_too_long(candidate, grid))
        config, split = _asked(candidate, request)
        limit = longest_row(candidate.model)
        if limit is not None and config.row_width > limit:
            raise ValueError(_too_long(candidate, _data(candidate, request)))
        try:  # which also spares the figures of speed a device's slow first call
            width = row_width(candidate, config)
            predict(candidate.model, sample(config, split, [0], pad_to=width))
        except (IndexError, RuntimeError, TypeError) as error:
            words = str(error).split("\n")[0]
            raise ValueError(f"{candidate.name} cannot be asked bytes ({words})") from None


def evaluate(candidates: Sequence[LoadedModel], request: Request) -> Iterator[dict[str, Any]]:
    """Ask one candidate after the other.

    Yields:
      checkpoint, trained_on, parameters, device, batch_size, then `grids` (a list, see `_grid`)
      or `data`, see `_answered`.
    """
    for candidate in candidates:
        own = {
            "checkpoint": candidate.name,
            "trained_on": candidate.trained_on,
            "parameters": sum(p.numel() for p in candidate.model.parameters()),
            "device": device_name(candidate.model),
            "batch_size": request.batch_size,
        }
        if request.grids:
            grids = [_grid(candidate, grid, request) for grid in request.grids]
            yield {**own, "grids": grids}
        else:
            yield {**own, "data": _answered(candidate, request)}


def _grid(candidate: LoadedModel, grid: str, request: Request) -> dict[str, Any]:
    """One grid: its name, length, answer_width, the horizon, and the rows of `ask_grid`."""
    wanted, count = fitting(candidate, grid), request.num_questions or QUESTIONS
    terms = adapt_config_to_model(candidate, make_config(grid), grid)
    rows = ask_grid(
        candidate, grid, wanted, count, request.batch_size, until_wrong=request.until_wrong
    )
    bar = tqdm(rows, f"{candidate.name} {grid}", len(wanted), unit="nops", disable=None)
    found = list(bar)
    listed = published(grid)
    return {
        "grid": grid,
        "length": terms.length[1],
        "answer_width": terms.answer_width,
        "layout": terms.layout,
        "questions": count,
        "horizon": horizon_of(found, listed),
        "questions_per_second": count * len(found) / sum(row["seconds"] for row in found),
        "too_long_for_the_model": listed[len(wanted) :],
        "rows": found,
    }


def _answered(candidate: LoadedModel, request: Request) -> dict[str, Any]:
    """One split: its rates and floors, the first wrong steps, and the texts."""
    config, split = _asked(candidate, request)
    count = request.num_questions or config.num_rows(split)
    examples = sample(config, split, range(count), pad_to=row_width(candidate, config))
    found = measure(candidate.model, examples, batch_size=request.batch_size)
    assert found.seconds
    texts = {name: getattr(found, name) for name in ANSWERS}
    return {
        "config": _data(candidate, request),
        "split": split,
        "answer_width": config.answer_width,
        "layout": config.layout,
        **found.rates,
        "loss": found.loss if isfinite(found.loss) else None,  # JSON has no other word for it
        "seconds": found.seconds,
        "questions_per_second": count / found.seconds,
        "floors": _floors(config, split, count),
        "first_wrong_step": _first_wrong(candidate, config, texts, request.batch_size),
        "texts": texts,
    }


@lru_cache(maxsize=16)
def _floors(config: TaskConfig, split: str, count: int) -> dict[str, dict[str, Any]]:
    """`floors`, once for all candidates that are asked the same."""
    return floors(sample(config, split, range(count)).questions(), config.answer_width)


def _first_wrong(
    candidate: LoadedModel, config: TaskConfig, texts: dict[str, list[str]], batch_size: int
) -> dict[str, Any] | None:
    """The wrong answers by first wrong step; None where the trained range is unknown."""
    steps = _trained_steps(candidate, config)
    if steps is None:
        return None
    wrong = [q for q, r, p in zip(*(texts[name] for name in ANSWERS), strict=True) if r != p]
    width = row_width(candidate, cut_config(config, steps)) if steps else None
    found = first_wrong_steps(candidate.model, wrong, config, steps, batch_size, width)
    return {"wrong": len(wrong), "steps": list(steps), "counts": count_steps(found, steps)}


def _trained_steps(candidate: LoadedModel, config: TaskConfig) -> range | None:
    """The numbers of operations trained on; of a candidate that is silent, those of the data."""
    trained = make_config(candidate.trained_on) if candidate.trained_on else config
    return None if trained.grid_nops else range(max(1, trained.nops[0]), trained.nops[1] + 1)


def _data(candidate: LoadedModel, request: Request) -> str:
    """The name of the configuration that a candidate is asked."""
    return request.data or candidate.trained_on or "default"


def _asked(candidate: LoadedModel, request: Request) -> tuple[TaskConfig, str]:
    """That configuration in the candidate's terms, and the split; of grids their beginning.

    Raises:
      ValueError: as `adapt_config_to_model`, or there is no such split.
    """
    name, split = _data(candidate, request), request.split
    if request.grids:
        name, split = request.grids[0], f"nops{published(request.grids[0])[0]}"
    config = adapt_config_to_model(candidate, make_config(name), name)
    if split not in config.splits:
        raise ValueError(
            f"split {split!r} does not exist in {name}: use one of {list(config.splits)}"
        )
    if config.grid_nops:  # else a row of one operation is as wide as one of 1,024
        config = replace(config, grid_nops=(int(split.removeprefix("nops")),))
    return config, split


def _too_long(candidate: LoadedModel, asked: str) -> str:
    """The message for rows that do not fit."""
    return (
        f"{candidate.name} reads {longest_row(candidate.model)} bytes at most and the rows of "
        f"{asked} are longer: ask it a shorter task"
    )
