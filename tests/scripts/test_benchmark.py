"""The command runs the parts that it is told, and each part measures, here at a tiny size."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from scripts.benchmarks import data, models, training

COMMAND = Path(__file__).parents[2] / "scripts" / "benchmark.py"
TINY = {
    data: {"GOALS": {"default": 1}, "ROUNDS": 1, "PROCESSES": 1, "TRAIN_ROWS": 1000, "BLOCK": 64},
    models: {"SETTINGS": [(1, 2)], "ROUNDS": 1},
    training: {
        "CASES": [("swap-delta", 4, "")], "NETWORKS": ("mixed-l12", "swap-delta"),
        "ROUNDS": 1, "EVALUATED": 8, "STARTS": 1, "LOG_EVERY": 2, "THREADS": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "flags, parts",
    [
        ((), "data models training"),
        (("all",), "data models training"),
        (("models", "data"), "models data"),
    ],
)
def test_it_measures_the_parts_that_are_named_or_all(flags, parts, monkeypatch, capsys):
    for part in TINY:
        name = part.__name__.rpartition(".")[2]
        monkeypatch.setattr(part, "report", lambda name=name: name)
    monkeypatch.setattr(sys, "argv", [str(COMMAND), *flags])
    monkeypatch.setattr(sys, "path", [str(COMMAND.parent), *sys.path])
    runpy.run_path(str(COMMAND), run_name="__main__")
    assert capsys.readouterr().out.split() == parts.split()


@pytest.mark.parametrize("part", TINY, ids=lambda part: part.__name__.rpartition(".")[2])
def test_each_part_measures_what_it_says(part, monkeypatch):
    for name, value in TINY[part].items():
        monkeypatch.setattr(part, name, value)
    monkeypatch.chdir(COMMAND.parents[1])
    measured = [line for line in part.report().splitlines() if re.match(r"\| .*\d", line)]
    assert len(measured) > 4
