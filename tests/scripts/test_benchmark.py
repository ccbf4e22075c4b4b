"""The command runs the parts that it is told, and each part measures, here at a tiny size."""

import contextlib
import io
import platform
import re
import sys

import pytest

from scripts import benchmarks
from scripts.benchmarks import data, evaluation, load, models, start, step, training
from scripts.core import inference
from scripts.reporting.speed import keep_speed, read_speed
from scripts.training import loop
from tests.commands import run_command

TINY = {
    data: {"ROUNDS": 1, "BLOCK": 512},
    load: {"ROWS": 1000},
    training: {"ROUNDS": 1, "STEPS": 2, "SETTINGS": [("swap-delta", 2)]},
    step: {"STEPS": 1},
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

    for part in (load, start):
        monkeypatch.setattr(part, "run_child", run_here)


@pytest.mark.parametrize("words", ["", "all", "models"])
def test_it_measures_the_parts_that_are_named_or_all(words, monkeypatch):
    for part in TINY:
        line = {"part": name_of(part), "ms": 1.5}
        monkeypatch.setattr(part, "measure", lambda line=line: [line])
    parts = words.replace("all", "") or "data load training step models start evaluation"
    printed = run_command("benchmark", *words.split()).stdout
    assert re.findall(r"^\| (\w+) +\| 1.50 \|$", printed, re.MULTILINE) == parts.split()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("part", TINY, ids=name_of)
def test_each_part_measures_what_it_says(part, monkeypatch):
    for name, value in TINY[part].items():
        monkeypatch.setattr(part, name, value)
    lines = part.measure()
    assert len(lines) >= 1 + (part not in (load, training))
    kept = read_speed(name_of(part))
    assert {next(iter(line)) for line in [*lines, *kept]} == {next(iter(kept[0]))}
    assert all(value >= 0 for line in lines for value in [*line.values()][1:])


def test_what_is_kept_is_drawn_and_shown_again(tmp_path):
    lines = read_speed("evaluation")
    keep_speed("evaluation", lines, tmp_path)
    assert read_speed("evaluation", tmp_path) == lines
    with pytest.raises(ValueError, match=r"step.jsonl has no line: run scripts/benchmark.py step"):
        read_speed("step", tmp_path)
    assert (tmp_path / "figures" / "evaluation_speed.png").stat().st_size > 10_000


def test_a_process_of_its_own_gives_the_number_that_it_prints():
    assert benchmarks.run_child("import sys; print('a', 2 * int(sys.argv[1]))", 3) == 6


def test_the_peak_is_that_of_the_call():
    assert 30 < benchmarks.peak_megabytes(lambda: bytearray(32 * 2**20)) < 40


def test_the_cost_of_the_delta_rule_grows_with_length_and_not_with_its_square():
    by_model = {}
    for line in read_speed("evaluation"):
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
