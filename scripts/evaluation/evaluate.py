"""Evaluate models: one result each, plain data as evaluation.json holds it."""

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
from scripts.core.trial_store import SOLVED_PCT
from scripts.evaluation.first_error import count_steps, cut_config, first_wrong_steps
from scripts.evaluation.grid import (
    QUESTIONS,
    evaluate_grid,
    fitting,
    horizon_of,
    published,
    unsolvable,
)
from vsc_dataset import sample
from vsc_dataset.configs import CONFIGS, TaskConfig, make_config
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines

ANSWERS = ("questions", "references", "predictions")
MAX_SAMPLES = 1_000_000
"""Of one split or number of operations, which lie in memory together, and of one batch."""


@dataclass(frozen=True)
class Request:
    """What all models are evaluated on.

    Attributes:
      data: a configuration's name; None is what each model was trained on, or "default".
      split: of `data`.
      grids: names of grids, in place of `data`.
      num_questions: of the split, or of each number of operations; None is all, or 1,000.
      batch_size: samples of one forward call at most.
      until_wrong: a grid stops after the first number of operations that is not solved.
      whole_grid: a grid goes on where the sample error is 99% or more, see `evaluate_grid`.
    """

    data: str | None = None
    split: str = "test"
    grids: tuple[str, ...] = ()
    num_questions: int | None = None
    batch_size: int = BATCH_SIZE
    until_wrong: bool = False
    whole_grid: bool = False


def grid_names(swaps: bool, all_operations: bool, lengths: Sequence[int]) -> tuple[str, ...]:
    """Return the names of the grids of these kinds and lengths.

    Raises:
      ValueError: there is no grid of a length.

    >>> grid_names(True, True, [5, 3])
    ('grid-len3', 'grid-len5', 'grid-all-len3', 'grid-all-len5')
    """
    kinds = ["grid"] * swaps + ["grid-all"] * all_operations
    known = sorted(c.length[1] for name, c in CONFIGS.items() if name.startswith("grid-len"))
    for length in lengths:
        if length not in known:
            raise ValueError(f"--length {length}: there is no grid of it, use some of {known}")
    return tuple(f"{kind}-len{length}" for kind in kinds for length in sorted(set(lengths)))


def check_request(models: Sequence[LoadedModel], request: Request) -> None:
    """Raise a ValueError for what some model cannot be evaluated on, before any is."""
    for name in ("num_questions", "batch_size"):
        value = getattr(request, name)
        if value is not None and not 1 <= value <= MAX_SAMPLES:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(f"{flag} {value} is out of range: give 1 to {MAX_SAMPLES:,}")
    for loaded in models:
        for grid in request.grids:
            if not fitting(loaded, grid):
                raise ValueError(_too_long(loaded, grid))
        config, split = _requested(loaded, request)
        limit = longest_row(loaded.model)
        if limit is not None and config.row_width > limit:
            raise ValueError(_too_long(loaded, _data(loaded, request)))
        try:  # which also spares the figures of speed a device's slow first call
            width = row_width(loaded, config)
            predict(loaded.model, sample(config, split, [0], pad_to=width))
        except (IndexError, RuntimeError, TypeError, AssertionError) as error:
            words = str(error).split("\n")[0]
            raise ValueError(f"{loaded.name} cannot be evaluated on bytes ({words})") from None


def evaluate(models: Sequence[LoadedModel], request: Request) -> Iterator[dict[str, Any]]:
    """Evaluate one model after the other.

    Yields:
      checkpoint, trained_on, parameters, device, batch_size, then `grids` (a list, see `_grid`)
      or `data`, see `_split`.
    """
    for loaded in models:
        about = {
            "checkpoint": loaded.name,
            "trained_on": loaded.trained_on,
            "parameters": sum(p.numel() for p in loaded.model.parameters()),
            "device": device_name(loaded.model),
            "batch_size": request.batch_size,
        }
        if request.grids:
            grids = [_grid(loaded, grid, request) for grid in request.grids]
            yield {**about, "grids": grids}
        else:
            yield {**about, "data": _split(loaded, request)}


def _grid(loaded: LoadedModel, grid: str, request: Request) -> dict[str, Any]:
    """Evaluate a grid: its format, the horizon, and the rows of `evaluate_grid`."""
    wanted, count = fitting(loaded, grid), request.num_questions or QUESTIONS
    config = adapt_config_to_model(loaded, make_config(grid), grid)
    until_wrong, whole = request.until_wrong, request.whole_grid
    steps = evaluate_grid(loaded, grid, wanted, count, request.batch_size, until_wrong, whole)
    rows = list(tqdm(steps, f"{loaded.name} {grid}", len(wanted), unit="nops", disable=None))
    errors, listed = [row["sample_error_pct"] for row in rows], published(grid)
    stopped = (until_wrong and errors[-1] > SOLVED_PCT) or (not whole and unsolvable(errors))
    return {
        "grid": grid,
        "length": config.length[1],
        "answer_width": config.answer_width,
        "layout": config.layout,
        "questions": count,
        "horizon": horizon_of(rows, listed),
        "questions_per_second": count * len(rows) / sum(row["seconds"] for row in rows),
        "too_long_for_the_model": listed[len(wanted if stopped else rows) :],
        "rows": rows,
    }


def _split(loaded: LoadedModel, request: Request) -> dict[str, Any]:
    """Evaluate a split: rates, trivial baselines, first wrong steps, and the texts."""
    config, split = _requested(loaded, request)
    count = request.num_questions or config.num_rows(split)
    samples = sample(config, split, range(count), pad_to=row_width(loaded, config))
    label = f"{loaded.name} {_data(loaded, request)} {split}"
    measured = measure(loaded.model, samples, "answer", request.batch_size, label)
    assert measured.seconds
    texts = {name: getattr(measured, name) for name in ANSWERS}
    return {
        "config": _data(loaded, request),
        "split": split,
        "answer_width": config.answer_width,
        "layout": config.layout,
        **measured.rates,
        "loss": measured.loss if isfinite(measured.loss) else None,  # JSON has no NaN
        "seconds": measured.seconds,
        "questions_per_second": count / measured.seconds,
        "floors": _floors(config, split, count),
        "first_wrong_step": _first_wrong(loaded, config, texts, request.batch_size),
        "texts": texts,
    }


@lru_cache(maxsize=16)
def _floors(config: TaskConfig, split: str, count: int) -> dict[str, dict[str, Any]]:
    """Compute the trivial baselines once for all models that are evaluated alike."""
    return trivial_baselines(sample(config, split, range(count)).questions(), config.answer_width)


def _first_wrong(
    loaded: LoadedModel, config: TaskConfig, texts: dict[str, list[str]], batch_size: int
) -> dict[str, Any] | None:
    """Count wrong answers by first wrong step; None where the trained range is unknown."""
    steps = _trained_steps(loaded, config)
    if steps is None:
        return None
    wrong = [q for q, r, p in zip(*(texts[name] for name in ANSWERS), strict=True) if r != p]
    width = row_width(loaded, cut_config(config, steps)) if steps else None
    first = first_wrong_steps(loaded.model, wrong, config, steps, batch_size, width)
    return {"wrong": len(wrong), "steps": list(steps), "counts": count_steps(first, steps)}


def _trained_steps(loaded: LoadedModel, config: TaskConfig) -> range | None:
    """Return the numbers of operations trained on; where unknown, those of the data."""
    trained = loaded.trained_config or config
    return None if trained.grid_nops else range(max(1, trained.nops[0]), trained.nops[1] + 1)


def _data(loaded: LoadedModel, request: Request) -> str:
    """Return the name of the configuration that a model is evaluated on."""
    return request.data or loaded.trained_on or "default"


def _requested(loaded: LoadedModel, request: Request) -> tuple[TaskConfig, str]:
    """Return that configuration in the model's format, and the split; of grids their beginning.

    Raises:
      ValueError: as `adapt_config_to_model`, or there is no such split.
    """
    name, split = _data(loaded, request), request.split
    if request.grids:
        name, split = request.grids[0], f"nops{published(request.grids[0])[0]}"
    trained = None if request.data or request.grids else loaded.trained_config
    config = adapt_config_to_model(loaded, trained or make_config(name), name)
    if split not in config.splits:
        raise ValueError(
            f"split {split!r} does not exist in {name}: use one of {list(config.splits)}"
        )
    if config.grid_nops:  # else a row of one operation is as wide as one of 1,024
        config = replace(config, grid_nops=(int(split.removeprefix("nops")),))
    return config, split


def _too_long(loaded: LoadedModel, data: str) -> str:
    """Say that rows do not fit."""
    return (
        f"{loaded.name} reads {longest_row(loaded.model)} bytes at most and the rows of "
        f"{data} are longer: use a shorter task"
    )
