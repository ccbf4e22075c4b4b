"""A model that lacks one ability fails at the skill that needs it, and at none before."""

import json

import pytest

from tests.commands import ROOT, run_command

PLANTS = ROOT / "tests" / "scripts" / "scorecards" / "plants.py"
FORGETS = ("--mixer", ROOT / "examples" / "own_layer.py:Decay")


def planted(fault):
    return ("--model", f"{PLANTS}:make", "--model-args", f"fault={fault}")


@pytest.mark.soak
@pytest.mark.parametrize(
    "model, first, solved",
    [
        (FORGETS, "copy", []),
        (planted("digits"), "select", ["copy"]),
        (planted("order"), "track", ["copy", "select"]),
    ],
)
def test_a_planted_fault_fails_at_its_own_skill(tmp_path, model, first, solved):
    result = run_command("scorecard", *model, "--quick", "--output-dir", tmp_path)
    assert result.exit_code == 0, result.stderr
    summary = json.loads((tmp_path / "scorecard.json").read_text())["summary"]
    assert summary["first_unsolved"] == first
    assert f"The first skill not solved is **{first}**." in result.stdout
    assert [skill for skill in solved if summary["skills"][skill]["verdict"] != "solved"] == []
