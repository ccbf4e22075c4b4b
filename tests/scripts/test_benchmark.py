"""The command runs the parts that it is told, and each part measures, here at a tiny size."""

import contextlib
import io
import json
import platform
import re
import sys

import pytest

from scripts import benchmarks
from scripts.benchmarks import data, evaluation, models, start, training
from scripts.core import inference
from scripts.reporting import figures
from scripts.training import loop
from tests.commands import run_command

TINY = {
    data: {"ROUNDS": 1, "BLOCK": 512, "ROWS": 1000},
    training: {"ROUNDS": 1, "STEPS": 2, "SETTINGS": [("swap-delta", 2)]},
    models: {"SETTINGS": [(1, 2)], "ROUNDS": 1},
    start: {"ROUNDS": 1},
    evaluation: {"ROUNDS": 1, "NOPS": (2, 4)},
}


def name_of(part):
    return part.__name__.rpartition(".")[2]


@pytest.fixture
def here(monkeypatch):
    """What runs in a process of its own runs in this one: its imports are made."""
    for module, name in ((loop, "train_step"), (inference, "logits_of"), (sys, "argv")):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back at the end

    def run_here(code, *words):
        sys.argv = ["-c", *map(str, words)]
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
            exec(code, {"__name__": "__main__"})
        return float(out.getvalue().split()[-1])

    for part in (data, start):
        monkeypatch.setattr(part, "run_child", run_here)


@pytest.mark.parametrize("words", ["", "all", "models"])
def test_it_measures_the_parts_that_are_named_or_all(words, monkeypatch):
    for part in TINY:
        name = name_of(part)
        monkeypatch.setattr(part, "report", lambda *keep, name=name: name)
    parts = words.replace("all", "") or "data training models start evaluation"
    assert run_command("benchmark", *words.split()).stdout.split() == parts.split()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("part", TINY, ids=name_of)
def test_each_part_measures_what_it_says(part, monkeypatch):
    for name, value in TINY[part].items():
        monkeypatch.setattr(part, name, value)
    measured = [line for line in part.report().splitlines() if re.match(r"\| .*\d", line)]
    assert len(measured) >= 1 + (part is not training)


def test_a_process_of_its_own_gives_the_number_that_it_prints():
    assert benchmarks.run_child("import sys; print('a', 2 * int(sys.argv[1]))", 3) == 6


def test_the_peak_is_that_of_the_call():
    assert 30 < benchmarks.peak_megabytes(lambda: bytearray(32 * 2**20)) < 40


def test_the_kept_evaluation_is_drawn(tmp_path, monkeypatch):
    lines = [json.loads(line) for line in evaluation.KEPT.read_text().splitlines()]
    assert {line["model"] for line in lines} == {*evaluation.make_models()}
    for line, nops in zip(lines[:: len(lines) // 5], evaluation.NOPS, strict=True):
        assert line["nops"] == nops
    figures.speed_curves(lines, tmp_path / "again.png")
    assert (tmp_path / "again.png").stat().st_size > 10_000
    assert evaluation.FIGURE.exists()


def test_the_cost_of_the_delta_rule_grows_with_length_and_not_with_its_square():
    by_model = {}
    for line in map(json.loads, evaluation.KEPT.read_text().splitlines()):
        by_model.setdefault(line["model"], []).append(line)
    growth = {}
    for name, lines in by_model.items():
        (first, *_, last), length = lines[1:], lines[-1]["length"] / lines[1]["length"]
        growth[name] = (last["ms_per_sample"] / first["ms_per_sample"]) / length
    assert growth["delta rule"] < 1.5
    assert growth["attention"] > 3


FETCHED = """
import ctypes, sys
from resource import RUSAGE_SELF, getrusage
from scripts.core.cli import keep_freed_memory
libc, size = ctypes.CDLL(None), 2**24
libc.malloc.restype = ctypes.c_void_p
if int(sys.argv[1]):
    keep_freed_memory()
for _ in range(2):
    before = getrusage(RUSAGE_SELF).ru_minflt
    block = ctypes.c_void_p(libc.malloc(size))
    ctypes.memset(block, 1, size)
    libc.free(block)
print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""
"""Pages that a block takes from the system where the same block was freed before."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_a_command_keeps_the_memory_that_it_frees():
    assert benchmarks.run_child(FETCHED, 1) < 100
    assert benchmarks.run_child(FETCHED, 0) > 1000
