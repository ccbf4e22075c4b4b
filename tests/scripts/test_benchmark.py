"""The command runs the parts that it is told, and each part measures, here at a tiny size."""

import re

import pytest

from scripts.benchmarks import data, models
from tests.commands import run_command

TINY = {
    data: {"ROUNDS": 1, "BLOCK": 512},
    models: {"SETTINGS": [(1, 2)], "ROUNDS": 1},
}


@pytest.mark.parametrize("words", ["", "all", "models"])
def test_it_measures_the_parts_that_are_named_or_all(words, monkeypatch):
    for part in TINY:
        name = part.__name__.rpartition(".")[2]
        monkeypatch.setattr(part, "report", lambda name=name: name)
    parts = words.replace("all", "") or "data models"
    assert run_command("benchmark", *words.split()).stdout.split() == parts.split()


@pytest.mark.parametrize("part", TINY, ids=lambda part: part.__name__.rpartition(".")[2])
def test_each_part_measures_what_it_says(part, monkeypatch):
    for name, value in TINY[part].items():
        monkeypatch.setattr(part, name, value)
    measured = [line for line in part.report().splitlines() if re.match(r"\| .*\d", line)]
    assert len(measured) > 1
