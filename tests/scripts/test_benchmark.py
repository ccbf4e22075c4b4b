"""The command: which parts it runs."""

import runpy
import sys
from pathlib import Path

import pytest

from scripts.benchmarks import data, models, question, training

COMMAND = Path(__file__).parents[2] / "scripts" / "benchmark.py"


@pytest.mark.parametrize(
    "flags, parts",
    [
        ((), "data models training question"),
        (("all",), "data models training question"),
        (("models", "data"), "data models"),
    ],
)
def test_it_measures_the_parts_that_are_named_or_all(flags, parts, monkeypatch, capsys):
    for part in (data, models, training, question):
        name = part.__name__.rpartition(".")[2]
        monkeypatch.setattr(part, "report", lambda name=name: name)
    monkeypatch.setattr(sys, "argv", [str(COMMAND), *flags])
    monkeypatch.setattr(sys, "path", [str(COMMAND.parent), *sys.path])
    runpy.run_path(str(COMMAND), run_name="__main__")
    assert capsys.readouterr().out.split() == parts.split()
