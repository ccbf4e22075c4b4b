"""Evaluate models: one result each, plain data as evaluation.json holds it."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from scripts.core.devices import device_name
from scripts.core.inference import Measurement, measure, predict
from scripts.core.model_loading import LoadedModel, count_parameters, row_width
from scripts.core.statistics import HORIZON_SAMPLES, grid_nops, survival
from scripts.evaluation.first_error import first_wrong_steps
from scripts.evaluation.grid import SAMPLES, evaluate_grid, split_config
from vsc_dataset import sample
from vsc_dataset.configs import TaskConfig
from vsc_dataset.metrics.vsc_error.error_rates import count_operations
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines

DEFAULT = "default"
"""The data of a model that nothing is known of."""

SURVIVAL_SAMPLES = 1000
"""Of a split, which are cut after every operation."""


@dataclass(frozen=True)
class Request:
    """What all models are evaluated on.

    `data` None is what each model was trained on, or "default"; `grids` come in place of it.
    `num_samples` None is all of a split, 1,000 of each number of operations of a grid.
    """

    data: str | None = None
    split: str = "test"
    grids: tuple[str, ...] = ()
    num_samples: int | None = None
    until_wrong: bool = False


def check_request(models: Sequence[LoadedModel], request: Request) -> None:
    """Raise a ValueError for what some model cannot be evaluated on, before any is."""
    if request.until_wrong and (request.num_samples or SAMPLES) < HORIZON_SAMPLES:
        raise ValueError(
            f"--until-wrong needs --num-samples {HORIZON_SAMPLES} or more: of fewer samples "
            "none tells a horizon"
        )
    for loaded in models:
        if not (request.grids or request.data or loaded.trained_on):
            words = f"{loaded.name}: nothing says what it was trained on, so it is evaluated on"
            print(f"{words} {DEFAULT!r}: give --data for another task", file=sys.stderr)
        for name, config, split in _parts(loaded, request):
            width = row_width(loaded, config)
            try:  # which also spares the figures of speed a device's slow first call
                predict(loaded.model, sample(config, split, [0], pad_to=width))
            except (IndexError, RuntimeError, TypeError, AssertionError) as error:
                words = str(error).split("\n")[0]
                raise ValueError(f"{loaded.name} cannot read rows of {name} ({words})") from None


def _parts(loaded: LoadedModel, request: Request) -> list[tuple[str, TaskConfig, str]]:
    """List name, configuration and split of what a model is evaluated on; of a grid the first."""
    if request.grids:
        names = [(grid, f"nops{grid_nops(grid)[0]}") for grid in request.grids]
        return [(name, split_config(loaded, name, split), split) for name, split in names]
    name, split = request.data or loaded.trained_on or DEFAULT, request.split
    trained = None if request.data else loaded.trained_config
    if trained:
        name = " ".join([name, *(f"{key}={value}" for key, value in loaded.data_args.items())])
    return [(name, split_config(loaded, name, split, trained), split)]


def evaluate(models: Sequence[LoadedModel], request: Request) -> Iterator[dict[str, Any]]:
    """Evaluate one model after the other: what it is, then `grids` or `data`."""
    count = request.num_samples or SAMPLES
    for loaded in models:
        about = {
            "checkpoint": loaded.name,
            "trained_on": loaded.trained_on,
            "parameters": count_parameters(loaded.model),
            "device": device_name(loaded.model),
        }
        if request.grids:
            grids = [
                evaluate_grid(loaded, grid, count, request.until_wrong) for grid in request.grids
            ]
            yield {**about, "grids": grids}
        else:
            yield {**about, "data": _split(loaded, request)}


def _split(loaded: LoadedModel, request: Request) -> dict[str, Any]:
    """Evaluate a split: rates, trivial baselines, samples still right, and the texts."""
    ((name, config, split),) = _parts(loaded, request)
    count = request.num_samples or config.num_rows(split)
    samples = sample(config, split, range(count), pad_to=row_width(loaded, config))
    measured = measure(loaded.model, samples, progress=f"{loaded.name} {name} {split}")
    return {
        "config": name,
        "split": split,
        "answer_width": config.answer_width,
        "layout": config.layout,
        **measured.rates,
        "loss": measured.loss if isfinite(measured.loss) else None,  # JSON has no NaN
        "seconds": measured.seconds,
        "questions_per_second": count / measured.seconds,
        "floors": trivial_baselines(measured.questions, config.answer_width),
        "survival": _survival(loaded, config, measured),
        "texts": {
            name: getattr(measured, name) for name in ("questions", "references", "predictions")
        },
    }


def _survival(loaded: LoadedModel, config: TaskConfig, measured: Measurement) -> dict[int, float]:
    """Compute the percent still right after each trained number of operations, where known."""
    trained = loaded.trained_config or config
    if trained.grid_nops:
        return {}
    steps = range(max(1, trained.nops[0]), trained.nops[1] + 1)
    questions = measured.questions[:SURVIVAL_SAMPLES]
    pairs = zip(measured.references, measured.predictions, strict=True)
    wrong = [reference != prediction for reference, prediction in pairs]
    first = first_wrong_steps(loaded, questions, wrong, config, steps)
    shares = survival(first, count_operations(questions), steps)
    return {step: 100 * share for step, share in shares.items()}
