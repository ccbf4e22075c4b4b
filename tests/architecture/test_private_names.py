"""Tests hold behavior: none uses a private name of a module that it tests."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PACKAGES = ("vsc_dataset", "vsc_models", "scripts", "hub_cards")


def private_names(code: str) -> set[str]:
    """Return the private names of our modules that code imports, reads or patches."""
    names, modules = set(), set()
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGES):
            modules |= {alias.asname or alias.name for alias in node.names}
            names |= {alias.name for alias in node.names if re.match("_[a-z]", alias.name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names |= {node.attr} if node.value.id in modules else set()
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setattr":
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            names |= {str(text).rpartition(".")[2] for text in texts[:1]}
    return {name for name in names if re.fullmatch(r"_[a-z]\w*", name)}


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.stem)
def test_no_private_name_is_used(path):
    assert not private_names(path.read_text("utf-8"))


@pytest.mark.parametrize(
    "code",
    [
        "from scripts.core import cli\ncli._f()",
        "from scripts.core.cli import _f",
        "patch.setattr('scripts.core.cli._f', None)",
        "patch.setattr(cli, '_f', None)",
    ],
)
def test_a_planted_name_is_found(code):
    assert private_names(code) == {"_f"}
