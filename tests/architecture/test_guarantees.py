"""The table of guarantees: every test that it names is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", (TESTS / "README.md").read_text("utf-8"))


@pytest.mark.parametrize("path, name", NAMED, ids=[name for _, name in NAMED])
def test_a_guarantee_names_a_test_that_is_there(path, name):
    tree = ast.parse((TESTS / path).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_table_is_read_whole():
    lines = (TESTS / "README.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and "Guarantee" not in line]
    assert len(NAMED) >= len(rows) - 1  # the README's own doctest is not a function
