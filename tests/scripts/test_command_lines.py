"""Command lines: each works or ends in one line, and leaves nothing half done."""

import random
import re

import pytest
from tqdm import tqdm
from transformers.utils import logging

from tests.commands import run_command
from tests.hub_cards.bundle import untrained

COMMANDS = {
    "train": "--recipe swap-delta --max-samples 64 --output-dir out",
    "evaluate": "model --output-dir out",
    "reproduce": "ladder --hub-cards cards --output-dir out",
    "scorecard": "--recipe swap-delta --quick --output-dir out",
    "push_to_hub": "model model a/b",
    "build_dataset": "--output-dir out --config swap-nops2",
    "benchmark": "nothing",  # it would take minutes
}
WORDS = """
0 1 2 -1 64 1e400 nan inf 99999999999999999999 x X=1 x=1 = -- - --- --x . a/b None [] {} {'a':1}
3,4 0:1 0/2 2/2 cpu cuda:99 all test train default swap-nops2 swap-delta zoo-gru ladder word_problem
model out file file:f torch.nn:GRU os:system json=1 model/config.json mamba gpt2 é
"""
VALUES = [*WORDS.split(), "", "\udcff", "a\nb", "[" * 999, "9" * 5000, "a" * 5000]


MISTAKES = {
    "evaluate": [
        ("", "no checkpoint: give a run's folder"),
        ("x --grid --split test", "--split and a grid"),
        ("x --grid-all --data default", "--data and a grid"),
        ("x --length 5", "--length belongs to a grid"),
        ("x --grid --length 4", "--length: invalid choice: 4 (choose from 3, 5, 8, 16, 26)"),
        ("x --until-wrong", "--until-wrong belongs to a grid"),
        ("x --num-samples 0", "--num-samples: 0 must be from 1 to 1,000,000"),
    ],
    "reproduce": [
        ("ladder --rows swap-levl-1", "--rows 'swap-levl-1': there is no such row, did you mean"),
        ("ladder --trials 0", "--trials: 0 must be from 1 to 65,536"),
        ("ladder --jobs 0", "--jobs: 0 must be from 1 to 1,024"),
        ("ladder --max-minutes 0", "--max-minutes: 0 must be above 0"),
        (
            "ladder --max-samples 1",
            "num_samples (--max-samples) is 1: one step needs batch_size 64",
        ),
    ],
    "build_dataset": [
        ("", "give one of --output-dir DIR and --verify DIR"),
        ("--output-dir d --shard 2/2", "give i/n with i from 0 to n - 1"),
        ("--output-dir d --num-proc 0", "--num-proc: 0 must be from 1 to 256"),
        ("--output-dir d --config swap-nop2", "did you mean 'swap-nops2'?"),
        ("--verify nowhere", "manifest.json is missing"),
    ],
}


@pytest.mark.parametrize(
    "name, flags, words",
    [(name, *mistake) for name, mistakes in MISTAKES.items() for mistake in mistakes],
)
def test_a_mistake_is_one_clear_line(name, flags, words, tmp_path):
    places = ["--hub-cards", "hub", "--output-dir", "runs"] if name == "reproduce" else []
    done = run_command(name, *flags.split(), *places, cwd=tmp_path)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{name}: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not [*tmp_path.iterdir()]


def draw(rng: random.Random, usual: str, flags: list[tuple[str, str]]) -> list[str]:
    """A command line that works, without some words and with others."""
    words = [word for word in usual.split() if rng.random() < 0.97]
    for _ in range(rng.choice([1, 1, 2, 3])):
        flag, value = rng.choice([*flags, ("", "")])
        count = rng.choice([bool(value)] * 9 + [0, 1, 2])
        words += [flag, *rng.choices(VALUES, k=count)]
    return words


def stop(*_: object, **__: object) -> None:
    """In place of work: of progress bars and processes, which come before it."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("count", [100, pytest.param(400, marks=pytest.mark.soak)])
def test_a_command_line_works_or_ends_in_one_line(count, tmp_path, monkeypatch):
    untrained(tmp_path / "model")
    (tmp_path / "file").write_text("{")
    logging.disable_progress_bar()
    monkeypatch.setattr(tqdm, "__init__", stop)
    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", stop)
    rng, codes, before = random.Random(0), [], {*tmp_path.rglob("*")}
    flags = {
        name: re.findall(r"(--[a-z-]+)(?: ([A-Z]))?", run_command(name, "--help").stdout)
        for name in COMMANDS
    }
    for _ in range(count):
        name, usual = rng.choice([*COMMANDS.items()])
        words = draw(rng, usual, flags[name]) + ["nothing"] * (name == "benchmark")
        done = run_command(name, *words, cwd=tmp_path)
        codes.append(done.exit_code)
        if done.exit_code:
            assert done.exit_code in (1, 2), words
            assert re.fullmatch(rf"({name}: .+\n)+", done.stderr), (words, done.stderr)
        left = {*tmp_path.rglob("*")} - before
        assert not [path for path in left if path.suffix == ".partial"], words
        if done.exit_code and not re.search("interrupted|^reproduce", done.stderr):
            assert not left, (words, done.stderr, left)
        for path in sorted(left, reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    assert 0 in codes
