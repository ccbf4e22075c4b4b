"""Measure the generator next to the reference that it agrees with, byte for byte."""

from functools import partial

from scripts.benchmarks import best_seconds, peak_megabytes
from vsc_dataset.configs import CONFIGS, make_config
from vsc_dataset.generator import reference
from vsc_dataset.sampling import BLOCK, sample

NAMES = ("swap-nops2-5", "default", "level-8")
ROUNDS = 7
SHARE = 64
"""How many times fewer samples the reference makes: it is slow."""


def measure() -> list[dict[str, str | float]]:
    """Compare samples a CPU second, and measure the memory of a sample."""
    lines = []
    for name in NAMES:
        count = BLOCK // (8 if CONFIGS[name].row_width > 100 else 1)
        functions = {
            "reference": partial(reference.sample, CONFIGS[name], "train", range(count // SHARE)),
            "generator": partial(sample, name, "train", range(count)),
            "tokens": partial(sample, make_config(name, layout="tokens"), "train", range(count)),
        }
        seconds = best_seconds(functions, ROUNDS)
        made = {"reference": count // SHARE, "generator": count, "tokens": count}
        speed = {key: round(number / seconds[key]) for key, number in made.items()}
        memory = 1024 * peak_megabytes(functions["generator"]) / count
        line: dict[str, str | float] = {"configuration": name}
        line |= {f"{key}, samples/s": value for key, value in speed.items()}
        line["generator / reference"] = round(speed["generator"] / speed["reference"])
        line["tokens / generator"] = round(speed["tokens"] / speed["generator"], 2)
        lines.append({**line, "KiB a sample": round(memory, 1)})
    return lines
