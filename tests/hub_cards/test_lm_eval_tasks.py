"""The tasks for language models: prompts, rows, and what counts as right."""

import re
from pathlib import Path

import jinja2
import pytest
import yaml

from vsc_dataset import CONFIGS, execute, sample

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


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.name)
def test_a_task_names_a_configuration_that_has_its_splits(path):
    task = TASKS[path]
    assert task == {
        "include": "_vsc.yaml", "task": path.stem, "dataset_name": task["dataset_name"],
    }  # fmt: skip
    assert path.stem == "vsc_" + task["dataset_name"].replace("-", "_")
    splits = CONFIGS[task["dataset_name"]].splits
    assert SHARED["test_split"] in splits
    assert SHARED["fewshot_split"] in splits


@pytest.mark.parametrize("group", [GROUP, REASONING], ids=["vsc", "vsc_reasoning"])
def test_a_group_holds_all_tasks_and_averages_them(group):
    assert set(group["task"]) == {path.stem for path in TASKS} != set()
    filters = [one["name"] for one in SHARED["filter_list"]]
    assert [one["filter_list"] for one in group["aggregate_metric_list"]] == [filters]


def test_examples_are_never_test_questions():
    assert (SHARED["fewshot_split"], SHARED["test_split"]) == ("validation", "test")


def test_the_prompt_ends_where_the_answer_begins():
    examples = sample("swap-nops5", "test", [0])
    row = {"question": examples.questions()[0], "answer": examples.answers()[0]}
    prompt, wanted = (
        jinja2.Template(SHARED[name]).render(row) for name in ("doc_to_text", "doc_to_target")
    )
    assert prompt == f"Question: {row['question']}\nAnswer:"
    assert wanted == execute(row["question"])
    assert SHARED["generation_kwargs"]["until"] == ["Question:"]  # where the next one would begin
    assert SHARED["description"].endswith("\n\n")


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
