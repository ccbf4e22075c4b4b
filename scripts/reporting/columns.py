"""Fill the cells of a table's lines, by the names of its columns."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scripts.core.io import LOSSES
from scripts.core.statistics import format_share, ratio_of_medians
from scripts.core.trial_store import Trial
from scripts.core.trial_summary import samples_to, spread
from scripts.reporting.ranking import Line, chance_error
from vsc_dataset.configs import make_config
from vsc_dataset.splits import HELD_OUT_MIN_OPS

SHOWN_NOPS = (10, 20, 50, 100, 1024)
"""Numbers of operations whose error has a column of its own."""

BEYOND = "≥99"
"""The sample error where a trial was not evaluated, because it had failed at fewer operations."""

ARTICLE = {
    "sample_error_pct": "sample error %",
    "mask_error_pct": "mask error %",
    "val_loss": "loss",
    "params": "parameters",
    "throughput_per_s": "training samples/s",
}
"""What is shown of the article's line, as it stands there."""

Cells = Callable[[Line, Line | None], list[str]]


def cells_of(name: str, line: Line, against: Line | None) -> list[str]:
    """Fill the cells of a column, "-" without trials; speeds and costs next to another line's."""
    heads, cells = COLUMNS[name]
    if not line.trials and not name.startswith("article"):
        return ["not run" if name == "solved" else "-" for _ in heads]
    return cells(line, against)


def _spread(key: str, *names: str) -> Cells:
    """Make the cells of a spread."""
    return lambda line, _: [format_percent(line.results[key][name]) for name in names]


def _ranged(key: str, form: str) -> Cells:
    """Make the cell of a median with its range."""
    return lambda line, _: [_range(line.results[key], form)]


def format_percent(value: float | None) -> str:
    """Write two digits, or as many as a small rate needs to differ from zero.

    >>> [format_percent(value) for value in (None, 0.0, 12.345, 0.0199)]
    ['-', '0.00', '12.35', '0.020']
    """
    if value is None:
        return "-"
    return f"{value:.2f}" if value == 0 or value >= 0.1 else f"{value:.2g}".ljust(5, "0")


def _range(values: Mapping[str, Any], form: str) -> str:
    """Write the median, and in brackets minimum and maximum where they differ."""
    if not values["n"]:
        return "-"
    median, low, high = (form.format(values[name]) for name in ("median", "min", "max"))
    return median if low == high else f"{median} ({low} to {high})"


def _samples(line: Line, _: Line | None) -> list[str]:
    # A whole number of batches may be a little less than the recipe says.
    whole = line.budget >= line.full_samples - 1024
    return [f"{line.budget:,}" if whole else f"{line.budget:,} of {line.full_samples:,}"]


def _solved(line: Line, _: Line | None) -> list[str]:
    error = line.results["sample_error_pct"]
    return [format_share(error["solved"], error["n"])]


def _off_chance(line: Line, _: Line | None) -> list[str]:
    """Write the training samples after which the mask error stays below chance."""
    counts = [_off_chance_at(trial, line.data) for trial in line.trials if "curve" in trial.details]
    left = len(counts) - counts.count(None)
    if not left:
        return ["never" if counts else "-"]
    text = _range(spread(counts), "{:,.0f}")
    return [text if left == len(counts) else f"{text}; {format_share(left, len(counts))}"]


def _off_chance_at(trial: Trial, data: str) -> int | None:
    most = chance_error(trial.details["floors"], [trial.details], data)
    # Validations during training have few samples: the last word is that of all of them.
    end = {"samples": trial.record.samples, "mask_error_pct": trial.record.mask_error_pct}
    curve = [*trial.details["curve"], end]
    return samples_to(curve, lambda point: bool(point["mask_error_pct"] < most))


def _train_speed(line: Line, against: Line | None) -> list[str]:
    return [_compared(line, against, lambda t: (t.record.samples_per_second, t.record.device))]


def _evaluation_speed(line: Line, against: Line | None) -> list[str]:
    return [
        _compared(line, against, lambda t: (t.details["questions_per_second"], t.details["device"]))
    ]


def _cost(line: Line, against: Line | None) -> list[str]:
    """Write samples and seconds of training until at most 1% are wrong for good."""
    return [
        _compared(line, against, lambda t: (t.record.samples_to_1pct or math.inf, "")),
        _compared(line, against, lambda t: (_seconds_to_1pct(t), t.record.device)),
    ]


def _seconds_to_1pct(trial: Trial) -> float:
    """Find the seconds of training, without validations, until at most 1% are wrong for good."""
    solved = trial.record.samples_to_1pct
    times = [point["seconds"] for point in trial.details["curve"] if point["samples"] == solved]
    return times[0] if times else math.inf


def _compared(
    line: Line, against: Line | None, measured: Callable[[Trial], tuple[float, str]]
) -> str:
    """Write a median, and its ratio to the other's, measured on the same device, where it has one.

    What is endless was never reached.
    """
    values, devices = zip(*map(measured, line.trials), strict=True)
    median = statistics.median(values)
    if not math.isfinite(median):
        return "never"
    text = f"{median:,.0f}"
    if against is None or against is line:
        return text
    others, other_devices = zip(*map(measured, against.trials), strict=True)
    comparable = {*devices} == {*other_devices} and all(map(math.isfinite, others))
    if not comparable or (ratios := ratio_of_medians(values, others)) is None:
        return text
    ratio, low, high = ratios
    most = f"to {high:.2f}" if math.isfinite(high) else "and more"
    return f"{text} (x {ratio:.2f}, {low:.2f} {most})"


def _horizon(line: Line, _: Line | None) -> list[str]:
    """Write the middle trial's, and those of the worst and the best."""
    if not line.horizons:
        return ["-"]
    low, high = line.horizons[0], line.horizons[-1]
    return [f"{line.horizon}" if low == high else f"{line.horizon} ({low} to {high})"]


def _by_nops(line: Line, _: Line | None) -> list[str]:
    return [_at(line.details("grid"), nops) for nops in SHOWN_NOPS]


def _at(grids: Sequence[Mapping[str, Any]], nops: int) -> str:
    """Write the median sample error of some trials; BEYOND where the middle one ended before."""
    if not grids or f"nops{nops}" not in make_config(grids[0]["name"]).splits:
        return "-"
    errors: list[float] = []
    for grid in grids:
        by_nops = {row["nops"]: row["sample_error_pct"] for row in grid["rows"]}
        if nops not in by_nops and not grid["lost"]:
            return "-"
        errors.append(by_nops.get(nops, math.inf))
    median = statistics.median(errors)
    return format_percent(median) if math.isfinite(median) else BEYOND


def _programs(line: Line, _: Line | None) -> list[str]:
    """Write the median error on held-out programs, and of how many trials where not of all."""
    errors = [rates["sample_error_pct"] for rates in line.details("programs")]
    few = f" ({len(errors)} of {len(line.trials)} trials)" if len(errors) < len(line.trials) else ""
    return [format_percent(spread(errors)["median"]) + few * bool(errors)]


def _same_nops(line: Line, _: Line | None) -> list[str]:
    """Write the test error of the trials that were evaluated on held-out programs."""
    errors = [rates["sample_error_pct"] for rates in line.details("same_nops")]
    if make_config(line.data).eval_nops[0] >= HELD_OUT_MIN_OPS:
        tested = [trial.record for trial in line.trials if "programs" in trial.details]
        errors = [record.test_sample_error_pct for record in tested]
    return [format_percent(spread(errors)["median"])]


def _seen(line: Line, _: Line | None) -> list[str]:
    """Write the share of test samples whose program occurs in training; an older line has none."""
    shares = line.details("seen_pct")
    return [f"{statistics.median(shares):.1f}" if shares else "-"]


def _wrong(line: Line, _: Line | None) -> list[str]:
    """Write how many test answers are wrong, and in how many trials none is."""
    tests = line.details("test")
    if not tests:
        return ["-"]
    wrong = [test["wrong"] for test in tests]
    none = format_share(wrong.count(0), len(wrong))
    return [f"{_range(spread(wrong), '{:g}')} of {tests[0]['questions']:,}; none in {none}"]


def _over(line: Line, _: Line | None) -> list[str]:
    """Write what the training loss counts; an older line does not say."""
    losses = [LOSSES.get(one["loss"], one["loss"]) for one in line.details("settings")]
    return [", ".join(dict.fromkeys(losses)) or "-"]


def _article(line: Line, _: Line | None) -> list[str]:
    cells = [line.article.get(name, "-") for name in ARTICLE]
    return [f"{int(cell):,}" if cell.isdigit() else cell for cell in cells]


def _article_errors(line: Line, _: Line | None) -> list[str]:
    cells = _article(line, None)[:2]
    return [format_percent(float(cell)) if cell not in ("", "-") else "-" for cell in cells]


COLUMNS: dict[str, tuple[Sequence[str], Cells]] = {
    "parameters": (["parameters"], lambda line, _: [f"{line.results['parameters']:,}"]),
    "samples": (["training samples"], _samples),
    "solved": (["solved"], _solved),
    "horizon": (["horizon"], _horizon),
    "off_chance": (["samples to leave chance"], _off_chance),
    "to_1pct": (["samples to 1%"], _ranged("samples_to_1pct", "{:,.0f}")),
    "cost": (["samples to 1%", "training seconds to 1%"], _cost),
    "sample": (
        ["sample error %: mean", "median", "std", "min", "max"],
        _spread("sample_error_pct", "mean", "median", "std", "min", "max"),
    ),
    "errors": (["sample error %"], _ranged("sample_error_pct", "{:.2f}")),
    "mask": (["mask error %"], _spread("mask_error_pct", "median")),
    "test": (["test sample error %"], _spread("test_sample_error_pct", "median")),
    "over": (["loss over"], _over),
    "wrong": (["test answers wrong"], _wrong),
    "programs": (["held-out programs, sample error %"], _programs),
    "same_nops": (["test, as many operations, sample error %"], _same_nops),
    "seen": (["test programs seen in training, %"], _seen),
    "by_nops": ([f"sample error % at {nops:,}" for nops in SHOWN_NOPS], _by_nops),
    "loss": (["loss"], lambda line, _: [f"{line.results['val_loss']['median']:.3g}"]),
    "train_speed": (["training samples/s"], _train_speed),
    "evaluation_speed": (["evaluation samples/s"], _evaluation_speed),
    "article_errors": (["article: sample error %", "mask error %"], _article_errors),
    "article": ([f"article: {name}" for name in ARTICLE.values()], _article),
}
"""Names of columns: their headers, and what fills a line's cells."""
