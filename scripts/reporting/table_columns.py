"""A line of a table -> its cells, by the names of columns."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scripts.core.trial_store import Trial, samples_to, spread
from scripts.reporting.table_lines import Line, chance
from vsc_dataset.configs import make_config

SHOWN_NOPS = (10, 20, 50, 100, 1024)
"""Numbers of operations whose error has a column of its own."""


def _spread(key: str) -> Callable[[Line, Line | None, int], list[str]]:
    """Cells of a spread; "-" where there is none."""

    def cells(line: Line, _: Line | None, count: int) -> list[str]:
        names = ("mean", "median", "std", "min", "max") if count == 5 else ("median",)
        found = line.results[key] if line.trials else {}
        return [_percent(found.get(name)) for name in names]

    return cells


def _percent(value: float | None) -> str:
    """Two digits, or as many as a small rate needs to be no zero.

    >>> [_percent(value) for value in (None, 0.0, 12.345, 0.0199)]
    ['-', '0.00', '12.35', '0.020']
    """
    if value is None:
        return "-"
    return f"{value:.2f}" if value == 0 or value >= 0.1 else f"{value:.2g}".ljust(5, "0")


def _parameters(line: Line, *_: Any) -> list[str]:
    ours = line.results["parameters"] if line.trials else None
    return ["-" if ours is None else f"{ours:,}"]


def _samples(line: Line, *_: Any) -> list[str]:
    if not line.trials:
        return ["-"]
    # A whole number of batches may be a little less than the recipe says.
    whole = line.budget >= line.full - 1024
    return [f"{line.budget:,}" if whole else f"{line.budget:,} of {line.full:,}"]


def _solved(line: Line, *_: Any) -> list[str]:
    found = line.results["sample_error_pct"] if line.trials else None
    return ["not run" if found is None else f"{found['solved']} of {found['n']}"]


def _to_1pct(line: Line, *_: Any) -> list[str]:
    return [_range(line.results["samples_to_1pct"], "{:,.0f}") if line.trials else "-"]


def _off_chance(line: Line, *_: Any) -> list[str]:
    """When the mask error was for good below the best answers that read no operation."""
    known = [trial for trial in line.trials if "curve" in trial.details]
    if not known:
        return ["-"]
    found = [_off_chance_at(trial) for trial in known]
    left = [samples for samples in found if samples is not None]
    if not left:
        return ["never"]
    counts = _range(spread(left, 0), "{:,.0f}")
    return [counts if len(left) == len(found) else f"{counts}; {len(left)} of {len(found)}"]


def _off_chance_at(trial: Trial) -> int | None:
    most = chance(trial.details["floors"])
    # The validations on the way ask few questions: the last word is that of all of them.
    end = {"samples": trial.record.samples, "mask_error_pct": trial.record.mask_error_pct}
    curve = [*trial.details["curve"], end]
    return samples_to(curve, lambda point: bool(point["mask_error_pct"] < most))


def _range(found: Mapping[str, Any], form: str) -> str:
    """Median, and in brackets minimum and maximum where they differ."""
    if not found["n"]:
        return "-"
    median, low, high = (form.format(found[name]) for name in ("median", "min", "max"))
    return median if low == high else f"{median} ({low} to {high})"


def _train_speed(line: Line, base: Line | None, _: int) -> list[str]:
    if not line.trials:
        return ["-"]
    return [_speed(line, base, lambda t: t.record.samples_per_second, lambda t: t.record.device)]


def _ask_speed(line: Line, base: Line | None, _: int) -> list[str]:
    known = [trial for trial in line.trials if "questions_per_second" in trial.details]
    if not known or len(known) < len(line.trials):
        return ["-"]
    return [
        _speed(
            line, base, lambda t: t.details["questions_per_second"], lambda t: t.details["device"]
        )
    ]


def _speed(
    line: Line, base: Line | None, speed: Callable[[Trial], float], device: Callable[[Trial], str]
) -> str:
    """The median speed, and how many times the base's it is on the same device."""
    own = statistics.median(map(speed, line.trials))
    if base is None or {*map(device, base.trials)} != {*map(device, line.trials)}:
        return f"{own:,.0f}"
    return f"{own:,.0f} (x {own / statistics.median(map(speed, base.trials)):.2f})"


def _horizon(line: Line, *_: Any) -> list[str]:
    """The middle trial's, and those of the worst and the best."""
    if not line.horizons:
        return ["-"]
    low, high = line.horizons[0], line.horizons[-1]
    return [f"{line.horizon}" if low == high else f"{line.horizon} ({low} to {high})"]


def _by_nops(line: Line, *_: Any) -> list[str]:
    grids = [trial.details["grid"] for trial in line.trials if "grid" in trial.details]
    return [_at(grids, nops) for nops in SHOWN_NOPS]


def _at(grids: Sequence[Mapping[str, Any]], nops: int) -> str:
    """The median sample error of some trials; "lost" where the middle one was not asked so far."""
    if not grids or f"nops{nops}" not in make_config(grids[0]["name"]).splits:
        return "-"
    found: list[float] = []
    for grid in grids:
        errors = {row["nops"]: row["sample_error_pct"] for row in grid["rows"]}
        if nops not in errors and not grid["lost"]:
            return "-"
        found.append(errors.get(nops, math.inf))
    median = statistics.median(found)
    return _percent(median) if math.isfinite(median) else "lost"


def _programs(line: Line, *_: Any) -> list[str]:
    found = [trial.details.get("programs") for trial in line.trials]
    errors = [rates["sample_error_pct"] for rates in found if rates]
    return [_percent(statistics.median(errors) if errors else None)]


def _wrong(line: Line, *_: Any) -> list[str]:
    """How many test answers are wrong, and in how many trials none is."""
    found = [trial.details["test"] for trial in line.trials if "test" in trial.details]
    if not found:
        return ["-"]
    wrong = [asked["wrong"] for asked in found]
    spread = {"n": len(wrong), "median": statistics.median(wrong), "min": min(wrong)}
    counts = _range({**spread, "max": max(wrong)}, "{:g}")
    return [f"{counts} of {found[0]['questions']:,}; none in {wrong.count(0)} of {len(wrong)}"]


def _over(line: Line, *_: Any) -> list[str]:
    """What the training loss counts; a line that is older does not say."""
    found = [trial.details["settings"]["loss"] for trial in line.trials if trial.details]
    return [", ".join(dict.fromkeys(found)) or "-"]


def _loss(line: Line, *_: Any) -> list[str]:
    return [f"{line.results['val_loss']['median']:.3g}" if line.trials else "-"]


ARTICLE = ("sample_error_pct", "mask_error_pct", "val_loss", "params", "throughput_per_s")
"""What is shown of the article's line, as it stands there."""


def _article(line: Line, *_: Any) -> list[str]:
    cells = [line.article.get(name, "-") for name in ARTICLE]
    return [f"{int(cell):,}" if cell.isdigit() else cell for cell in cells]


Cells = Callable[[Line, Line | None, int], list[str]]
COLUMNS: dict[str, tuple[Sequence[str], Cells]] = {
    "parameters": (["parameters"], _parameters),
    "samples": (["training questions"], _samples),
    "solved": (["solved"], _solved),
    "horizon": (["horizon"], _horizon),
    "off_chance": (["questions to leave chance"], _off_chance),
    "to_1pct": (["questions to 1 %"], _to_1pct),
    "sample": (
        ["sample error %: mean", "median", "std", "min", "max"],
        _spread("sample_error_pct"),
    ),
    "mask": (["mask error %"], _spread("mask_error_pct")),
    "test": (["test sample error %"], _spread("test_sample_error_pct")),
    "over": (["loss over"], _over),
    "wrong": (["test answers wrong"], _wrong),
    "programs": (["unseen programs, sample error %"], _programs),
    "by_nops": ([f"% wrong at {nops:,}" for nops in SHOWN_NOPS], _by_nops),
    "loss": (["loss"], _loss),
    "train_speed": (["trained/s"], _train_speed),
    "ask_speed": (["asked/s"], _ask_speed),
    "article": (
        [
            f"article: {name}"
            for name in ("sample error %", "mask error %", "loss", "parameters", "trained/s")
        ],
        _article,
    ),
}
"""Names of columns: their headers, and what gives a line's cells."""
