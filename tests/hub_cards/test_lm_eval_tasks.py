"""The tasks for language models: prompts, rows, and what counts as right."""

import re
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "hub_cards" / "lm_eval"
SHARED = yaml.safe_load((FOLDER / "_vsc.yaml").read_text("utf-8"))
GROUP = yaml.safe_load((FOLDER / "vsc.yaml").read_text("utf-8"))
REASONING = yaml.safe_load((FOLDER / "vsc_reasoning.yaml").read_text("utf-8"))
TASKS = {
    path: yaml.safe_load(path.read_text("utf-8"))
    for path in sorted({*FOLDER.glob("vsc_*")} - {FOLDER / "vsc_reasoning.yaml"})
}


def filtered(name, text):
    """What a filter of the tasks makes of a model's text, as the harness does: one regex each."""
    *steps, last = next(one["filter"] for one in SHARED["filter_list"] if one["name"] == name)
    assert last == {"function": "take_first"}
    for step in steps:
        found = re.findall(step["regex_pattern"], text)
        text = found[step.get("group_select", 0)].strip() if found else "[invalid]"
    return text


@pytest.mark.parametrize(
    "text, strict, last_word",
    [
        (" NFTPK", "NFTPK", "NFTPK"),
        ("NFTPK  ", "NFTPK", "NFTPK"),
        ("\n\nNFTPK", "NFTPK", "NFTPK"),
        (" NFTPK\n\nI am done", "NFTPK", "NFTPK"),
        ("<think>A or\nB?</think>\n\nNFTPK", "NFTPK", "NFTPK"),
        ("A or B?\n</think> NFTPK", "NFTPK", "NFTPK"),
        ("<think>NFTPK, no", "[invalid]", "[invalid]"),
        ("<think>A</think>", "", ""),
        ("", "", ""),
        ("\n\n", "", ""),
        (" There are no letters left.", "[invalid]", ""),
        (" The letters are NFTPK.", "[invalid]", "NFTPK"),
        ("NFTPK, I think", "[invalid]", "NFTPK"),
        ("NFTPK. Nothing else.", "[invalid]", "NFTPK"),
        ("It is A.", "[invalid]", "A"),
        (" NFTPK TPK", "[invalid]", "TPK"),
        (" nftpk", "[invalid]", "[invalid]"),
        (" NFTPKx", "[invalid]", "[invalid]"),
    ],
)
def test_a_filter_takes_the_answer_and_nothing_else(text, strict, last_word):
    assert filtered("strict", text) == strict
    assert filtered("last-word", text) == last_word


def test_the_readme_names_all_configurations():
    readme = (FOLDER / "README.md").read_text("utf-8")
    (build,) = re.findall(r"--config (.*)", readme)
    assert set(build.split()) == {task["dataset_name"] for task in TASKS.values()}
