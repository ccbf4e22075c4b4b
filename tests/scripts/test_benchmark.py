"""The command runs the parts that it is told, and each part measures, here at a tiny size."""

import re

import pytest

from scripts.benchmarks import data, models, training
from tests.commands import ROOT, run_command

TINY = {
    data: {"GOALS": {"default": 1}, "ROUNDS": 1, "PROCESSES": 1, "TRAIN_ROWS": 1000, "BLOCK": 64},
    models: {"SETTINGS": [(1, 2)], "ROUNDS": 1},
    training: {
        "CASES": [("swap-delta", 4, "")], "NETWORKS": ("mixed-l12", "swap-delta"),
        "ROUNDS": 1, "EVALUATED": 8, "STARTS": 1, "LOG_EVERY": 2, "THREADS": 1,
    },
}  # fmt: skip
PROCESSES = [(data, "dataset_table"), (training, "start_table")]
"""Tables of what a fresh process takes."""


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.chdir(ROOT)
    for part, values in TINY.items():
        for name, value in values.items():
            monkeypatch.setattr(part, name, value)


@pytest.mark.parametrize("words", ["", "all", "models data"])
def test_it_measures_the_parts_that_are_named_or_all(words, monkeypatch):
    for part in TINY:
        name = part.__name__.rpartition(".")[2]
        monkeypatch.setattr(part, "report", lambda name=name: name)
    parts = words.replace("all", "") or "data models training"
    assert run_command("benchmark", *words.split()).stdout.split() == parts.split()


@pytest.mark.parametrize("part", TINY, ids=lambda part: part.__name__.rpartition(".")[2])
def test_each_part_measures_what_it_says(part, monkeypatch):
    for module, name in PROCESSES:
        monkeypatch.setattr(module, name, lambda: "| a process | 1 |")
    measured = [line for line in part.report().splitlines() if re.match(r"\| .*\d", line)]
    assert len(measured) > 1


@pytest.mark.soak
@pytest.mark.parametrize("part, name", PROCESSES)
def test_what_starts_processes_is_measured(part, name):
    assert len(re.findall(r"\| +[\d.]+", getattr(part, name)())) > 2
