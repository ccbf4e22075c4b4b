"""Evaluate models: one result each, plain data as evaluation.json holds it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any

from scripts.core.inference import BATCH_SIZE, measure, predict
from scripts.core.model_loading import LoadedModel, device_name, longest_row, row_width
from scripts.core.statistics import HORIZON_SAMPLES, published, survival
from scripts.evaluation.first_error import count_steps, cut_config, first_wrong_steps
from scripts.evaluation.grid import QUESTIONS, GridOptions, evaluate_grid, split_config
from vsc_dataset import sample
from vsc_dataset.configs import CONFIGS, TaskConfig
from vsc_dataset.metrics.vsc_error.error_rates import count_operations
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines

ANSWERS = ("questions", "references", "predictions")
MAX_SAMPLES = 1_000_000
"""Of one split or number of operations, which lie in memory together, and of one batch."""

SURVIVAL_SAMPLES = 1000
"""Of a split, which are cut after every operation, the right ones too."""


@dataclass(frozen=True)
class Request:
    """What all models are evaluated on.

    Attributes:
      data: a configuration's name; None is what each model was trained on, or "default".
      split: of `data`.
      grids: names of grids, in place of `data`.
      num_questions: of the split, or of each number of operations; None is all, or 1,000.
      batch_size, until_wrong, whole_grid: see `GridOptions`.
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
    lengths_of_grids = sorted(
        c.length[1] for name, c in CONFIGS.items() if name.startswith("grid-len")
    )
    for length in lengths:
        if length not in lengths_of_grids:
            raise ValueError(
                f"--length {length}: there is no grid of it, use some of {lengths_of_grids}"
            )
    return tuple(f"{kind}-len{length}" for kind in kinds for length in sorted(set(lengths)))


def check_request(models: Sequence[LoadedModel], request: Request) -> None:
    """Raise a ValueError for what some model cannot be evaluated on, before any is."""
    for name in ("num_questions", "batch_size"):
        value = getattr(request, name)
        if value is not None and not 1 <= value <= MAX_SAMPLES:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(f"{flag} {value} is out of range: give 1 to {MAX_SAMPLES:,}")
    if request.until_wrong and (request.num_questions or QUESTIONS) < HORIZON_SAMPLES:
        raise ValueError(
            f"--until-wrong needs --num-questions {HORIZON_SAMPLES} or more: of fewer samples "
            "none tells a horizon"
        )
    for loaded in models:
        for name, config, split in _parts(loaded, request):
            limit = longest_row(loaded.model)
            if limit is not None and config.row_width > limit:
                raise ValueError(
                    f"{loaded.name} reads {limit} bytes at most and the rows of {name} are longer: "
                    "use a shorter task"
                )
            try:  # which also spares the figures of speed a device's slow first call
                width = row_width(loaded, config)
                predict(loaded.model, sample(config, split, [0], pad_to=width))
            except (IndexError, RuntimeError, TypeError, AssertionError) as error:
                words = str(error).split("\n")[0]
                raise ValueError(f"{loaded.name} cannot be evaluated on bytes ({words})") from None


def _parts(loaded: LoadedModel, request: Request) -> list[tuple[str, TaskConfig, str]]:
    """List what a model is evaluated on, in its format: name, configuration and split.

    Of a grid it is the beginning alone.
    """
    if request.grids:
        names = [(grid, f"nops{published(grid)[0]}") for grid in request.grids]
        return [(name, split_config(loaded, name, split), split) for name, split in names]
    name, split = request.data or loaded.trained_on or "default", request.split
    trained = None if request.data else loaded.trained_config
    return [(name, split_config(loaded, name, split, trained), split)]


def evaluate(models: Sequence[LoadedModel], request: Request) -> Iterator[dict[str, Any]]:
    """Evaluate one model after the other.

    Yields:
      checkpoint, trained_on, parameters, device, batch_size, then `grids` (a list, see
      `evaluate_grid`) or `data`, see `_split`.
    """
    options = GridOptions(
        request.num_questions or QUESTIONS,
        request.batch_size,
        request.until_wrong,
        request.whole_grid,
    )
    for loaded in models:
        about = {
            "checkpoint": loaded.name,
            "trained_on": loaded.trained_on,
            "parameters": sum(p.numel() for p in loaded.model.parameters()),
            "device": device_name(loaded.model),
            "batch_size": request.batch_size,
        }
        if request.grids:
            grids = [evaluate_grid(loaded, grid, options) for grid in request.grids]
            yield {**about, "grids": grids}
        else:
            yield {**about, "data": _split(loaded, request)}


def _split(loaded: LoadedModel, request: Request) -> dict[str, Any]:
    """Evaluate a split: rates, trivial baselines, first wrong steps, and the texts."""
    ((name, config, split),) = _parts(loaded, request)
    count = request.num_questions or config.num_rows(split)
    samples = sample(config, split, range(count), pad_to=row_width(loaded, config))
    label = f"{loaded.name} {name} {split}"
    measured = measure(loaded.model, samples, "answer", request.batch_size, label)
    assert measured.seconds
    texts = {name: getattr(measured, name) for name in ANSWERS}
    return {
        "config": name,
        "split": split,
        "answer_width": config.answer_width,
        "layout": config.layout,
        **measured.rates,
        "loss": measured.loss if isfinite(measured.loss) else None,  # JSON has no NaN
        "seconds": measured.seconds,
        "questions_per_second": count / measured.seconds,
        "floors": _baselines(config, split, count),
        "first_wrong_step": _first_wrong(loaded, config, texts, request.batch_size),
        "texts": texts,
    }


@lru_cache(maxsize=16)
def _baselines(config: TaskConfig, split: str, count: int) -> dict[str, dict[str, Any]]:
    """Compute the trivial baselines once for all models that are evaluated alike."""
    return trivial_baselines(sample(config, split, range(count)).questions(), config.answer_width)


def _first_wrong(
    loaded: LoadedModel, config: TaskConfig, texts: dict[str, list[str]], batch_size: int
) -> dict[str, Any] | None:
    """Find at which operation a model errs first; None where the trained range is unknown.

    Returns:
      wrong: the wrong answers; steps: the trained numbers of operations; counts: the wrong answers
      by first wrong step; survival: {step: percent still right} of the first SURVIVAL_SAMPLES.
    """
    trained = loaded.trained_config or config
    if trained.grid_nops:
        return None
    steps = range(max(1, trained.nops[0]), trained.nops[1] + 1)
    width = row_width(loaded, cut_config(config, steps)) if steps else None
    questions, references, predictions = (texts[name] for name in ANSWERS)
    wrong = [r != p for r, p in zip(references, predictions, strict=True)]
    chosen = [i for i, is_wrong in enumerate(wrong) if is_wrong or i < SURVIVAL_SAMPLES]
    chosen_questions = [questions[i] for i in chosen], [wrong[i] for i in chosen]
    first = first_wrong_steps(loaded.model, *chosen_questions, config, steps, batch_size, width)
    count = min(SURVIVAL_SAMPLES, len(wrong))  # the first ones of those chosen
    shares = survival(first[:count], count_operations(questions[:count]), steps)
    return {
        "wrong": sum(wrong),
        "steps": list(steps),
        "counts": count_steps([f for f, i in zip(first, chosen, strict=True) if wrong[i]], steps),
        "survival": {str(k): 100 * share for k, share in shares.items()},
    }
