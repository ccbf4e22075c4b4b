"""The word problem: its groups against a reference, a few steps of each model, and what is kept."""

import json
from itertools import permutations, product
from pathlib import Path

import pytest
import torch

from examples import word_problem
from examples.word_problem import draw, product_table, train
from scripts.core.io import read_jsonl
from scripts.reproduction.word_problem import missing_cells, train_cells, write_report
from scripts.training.signals import Stopped
from tests.commands import ROOT
from tests.scripts.training.commands import train as run_reproduce

ORDERS = {
    ("parity", "all"): (2, 2),
    ("S3", "swaps"): (6, 4),
    ("S3", "all"): (6, 6),
    ("S4", "all"): (24, 24),
    ("A5", "all"): (60, 60),
    ("S5", "swaps"): (120, 11),
    ("S5", "three"): (120, 31),
    ("S5", "all"): (120, 120),
}
"""Elements and generators: of S5, 10 swaps, 20 cycles of three and the identity."""


def is_even(permutation):
    """By the number of cycles, not by counting inversions."""
    seen, cycles = set(), 0
    for start in range(len(permutation)):
        cycles += start not in seen
        while start not in seen:
            seen.add(start)
            start = permutation[start]
    return (len(permutation) - cycles) % 2 == 0


@pytest.mark.parametrize("group, generators", ORDERS)
def test_the_table_is_that_of_the_group(group, generators):
    table = product_table(group, generators)
    assert table.shape == ORDERS[group, generators]
    size, moved = word_problem.GROUPS[group], word_problem.MOVED[generators]
    elements = [p for p in permutations(range(size)) if group != "A5" or is_even(p)]
    chosen = [p for p in elements if sum(map(int.__ne__, p, range(size))) <= moved]
    assert elements[0] == tuple(range(size))
    for (i, element), (j, generator) in product(enumerate(elements), enumerate(chosen)):
        places = [*range(size)]
        for permutation in (element, generator):  # one after the other
            places = [permutation[place] for place in places]
        assert elements[table[i, j]] == tuple(places)


def test_the_target_at_every_position_is_the_product_so_far():
    table = product_table("S4", "all")
    torch.manual_seed(0)
    tokens, states = draw(table, 20, 12)
    assert tokens.unique().numel() == 24
    for row, targets in zip(tokens.tolist(), states.tolist(), strict=True):
        state = 0
        for token, target in zip(row, targets, strict=True):
            state = int(table[state, token])
            assert state == target


@pytest.mark.parametrize("model", ["delta1-beta2", "delta2-beta1", "gru", "transformer"])
def test_a_few_steps_train_and_all_models_are_causal(model, monkeypatch):
    monkeypatch.setattr(word_problem, "TRAINED", 4)  # all losses are of one length
    monkeypatch.setattr(word_problem, "LENGTHS", (4, 8))
    monkeypatch.setattr(word_problem, "SEQUENCES", 8)
    result = train(f"S3-all-{model}", 1, 40)
    assert sum(result["loss"][-5:]) < sum(result["loss"][:5])
    assert [*result["sequences"]] == ["4", "8"]
    network = word_problem.make_model(model, product_table("S3", "all")).eval()
    tokens = torch.randint(6, (2, 9))
    changed = torch.cat([tokens[:, :5], 5 - tokens[:, 5:]], 1)
    with torch.no_grad():
        before, after = (word_problem.first(network(x))[:, :5] for x in (tokens, changed))
    assert torch.allclose(before, after, atol=1e-5)


def test_the_law_shows_in_seconds(monkeypatch):
    """Parity: betas up to 2 follow it, betas up to 1 do not."""
    monkeypatch.setattr(word_problem, "LENGTHS", (16,))
    monkeypatch.setattr(word_problem, "SEQUENCES", 50)
    monkeypatch.setattr(word_problem, "TRAINED", 16)
    right = [train(f"parity-all-delta1-beta{m}", 0, 60)["sequences"]["16"] for m in (1, 2)]
    assert right[0] < 0.1
    assert right[1] > 0.9


def result_of(cell, seed, share=1.0):
    shares = {str(n): share for n in word_problem.LENGTHS}
    steps = int(word_problem.CELLS[cell]["steps"])
    head = {"cell": cell, "seed": seed, "steps": steps}
    return {**head, "sequences": shares, "tokens_to_256": share}


def test_a_cell_is_kept_as_it_ends_and_not_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.reproduction.word_problem.train", result_of)
    missing = missing_cells(tmp_path, ["parity-*"], 2)
    assert len(missing) == 8
    assert [seed for _, seed in missing] == [0] * 4 + [1] * 4
    trained = train_cells(tmp_path, missing)
    assert next(trained)["cell"] == missing[0][0]
    trained.close()
    assert missing_cells(tmp_path, ["parity-*"], 2) == missing[1:]
    (line,) = read_jsonl(tmp_path / "results" / "word_problem" / "cells.jsonl", dict)
    assert line["versions"]["torch"]
    assert line["device"].startswith("cpu, ")
    with pytest.raises(ValueError, match="--rows 'S6-all-gru': there is no such row, did you mean"):
        missing_cells(tmp_path, ["S6-all-gru"], 1)


def test_a_cell_that_another_command_has_kept_is_not_kept_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.reproduction.word_problem.train", result_of)
    for _ in range(2):  # both were missing it when they began
        assert len([*train_cells(tmp_path, [("S3-all-gru", 0)])]) == 1
    assert "| S3-all-gru | 1 of 1 |" in write_report(tmp_path)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"cell": "S9-all-gru"}, "line 2: cell 'S9-all-gru' is none of"),
        ({"seed": None}, "line 2: cell.seed is 'None'"),
        ({"steps": 1}, "line 2: steps was 1, which is not that of the cell"),
        ({"rate": 0.1}, "line 2: rate was 0.1, which is not"),
        ({"first": 2}, "line 2: first was 2, which is not"),
        ({"sequences": {"32": 1.0}}, "line 2: sequences has the lengths"),
        ({"tokens_to_256": 7.0}, "line 2: a share is above one"),
        ({}, "S3-all-gru, seed 0, stands there twice"),
    ],
)
def test_a_damaged_cell_is_one_line(changes, words, tmp_path):
    path = tmp_path / "results" / "word_problem" / "cells.jsonl"
    path.parent.mkdir(parents=True)
    line = result_of("S3-all-gru", 0)
    path.write_text(f"{json.dumps(line)}\n{json.dumps({**line, **changes})}\n")
    with pytest.raises(ValueError, match=words) as raised:
        write_report(tmp_path)
    assert str(path) in str(raised.value)


def test_a_cell_that_cannot_be_kept_is_not_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.reproduction.word_problem.train", lambda *_: pytest.fail("did"))
    path = tmp_path / "results" / "word_problem" / "cells.jsonl"
    path.mkdir(parents=True)
    with pytest.raises(OSError, match="cells"):
        next(train_cells(tmp_path, [("S3-all-gru", 0)]))


def test_a_signal_is_told_and_what_is_kept_is_reported(tmp_path, monkeypatch):
    def stop(cell, seed):
        if seed:
            raise Stopped(143)
        return result_of(cell, seed)

    monkeypatch.setattr("scripts.reproduction.word_problem.train", stop)
    flags = ("--rows", "S3-all-gru", "--trials", "2", "--hub-cards", tmp_path)
    done = run_reproduce("word_problem", *flags, cwd=tmp_path, command="reproduce")
    assert "stopped by a signal: the same command goes on\n" in done.stdout
    assert "| S3-all-gru | 1 of 1 |" in done.stdout


def test_a_figure_is_drawn_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.reproduction.word_problem.train", result_of)
    assert [*train_cells(tmp_path, [("S3-all-gru", 0)])]
    write_report(tmp_path)
    picture = tmp_path / "figures" / "word_problem.png"
    before = picture.read_bytes()

    def full(_, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scripts.reproduction.word_problem.report", full)
    with pytest.raises(OSError, match="word_problem"):
        write_report(tmp_path)
    assert picture.read_bytes() == before


def test_the_committed_table_is_what_the_committed_results_give(tmp_path):
    kept = Path("results", "word_problem", "cells.jsonl")
    (tmp_path / kept).parent.mkdir(parents=True)
    (tmp_path / kept).write_bytes((ROOT / "hub_cards" / kept).read_bytes())
    written = (ROOT / "hub_cards" / "tables" / "word_problem.md").read_text("utf-8")
    assert written == write_report(tmp_path)
