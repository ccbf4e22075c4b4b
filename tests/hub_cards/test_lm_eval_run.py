"""The tasks in the harness's own runner, on models that know the answer and say it in their way."""

import re
from pathlib import Path

import pytest

from scripts.publishing.parquet import write_table
from vsc_dataset import execute, sample
from vsc_dataset.arrow import make_table

lm_eval = pytest.importorskip("lm_eval", reason="`make` installs lm_eval for the tests")
pytestmark = pytest.mark.filterwarnings("default")  # of the harness

TASKS = Path(__file__).parents[2] / "hub_cards" / "lm_eval"
CONFIGS = ("swap-nops2", "swap-nops3", "swap-nops4", "swap-nops5", "default")
LIMIT = 30  # some of default's answers are empty
FILTERS = ("strict", "last-word")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder with the first rows of the files that the tasks name."""
    folder, card = tmp_path_factory.mktemp("lm_eval"), ["---", "configs:"]
    for config in CONFIGS:
        card += [f"- config_name: {config}", "  data_files:"]
        for split, rows in (("validation", 5), ("test", LIMIT)):
            path = folder / "data" / "vsc" / config / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(path, make_table(sample(config, split, range(rows))))
            card += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
    (folder / "data" / "vsc" / "README.md").write_text("\n".join([*card, "---", ""]))
    return folder


def evaluate(group, says, data, monkeypatch):
    """Run a group on a model that puts the right answer into one of `says` after another."""
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager, get_task_dict

    class Model(LM):
        def generate_until(self, requests):
            questions = [re.findall("Question: (.*)", one.args[0])[-1] for one in requests]
            return [says[i % len(says)].format(execute(q)) for i, q in enumerate(questions)]

        def loglikelihood(self, requests):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    monkeypatch.chdir(data)
    tasks = get_task_dict([group], TaskManager(include_path=str(TASKS), include_defaults=False))
    return lm_eval.evaluate(Model(), tasks, limit=LIMIT, bootstrap_iters=0)


def check_average(found, group, strict, last_word):
    """Compare the figures of the group and of each of its tasks."""
    assert set(found["results"]) == {group, *(f"vsc_{name.replace('-', '_')}" for name in CONFIGS)}
    for rates in found["results"].values():
        assert [rates[f"exact_match,{name}"] for name in FILTERS] == [strict, last_word]


def test_the_harness_evaluates_the_rows_of_the_test_split(data, monkeypatch):
    found = evaluate("vsc", [" {}\n\n", "\n{}", "{} "], data, monkeypatch)
    check_average(found, "vsc", 1, 1)
    for config in CONFIGS:
        lines = found["samples"][f"vsc_{config.replace('-', '_')}"]
        strict = [line for line in lines if line["filter"] == "strict"]
        questions = sample(config, "test", range(LIMIT)).questions()
        assert [line["doc"]["question"] for line in strict] == questions
        assert [line["target"] for line in strict] == [execute(text) for text in questions]
        examples = sample(config, "validation", range(5)).questions()
        shots = "\n\n".join(f"Question: {shot}\nAnswer: {execute(shot)}" for shot in examples)
        for line in strict:
            prompt = line["arguments"][0][0]
            assert prompt.endswith(f"{shots}\n\nQuestion: {line['doc']['question']}\nAnswer:")
            assert prompt.count("Question: ") == 6


def test_a_model_that_thinks_first_is_right_without_examples(data, monkeypatch):
    says = ["<think>Swap A. Question: B?</think>\n\n{}", "A?\nB.</think>{}"]
    found = evaluate("vsc_reasoning", says, data, monkeypatch)
    check_average(found, "vsc_reasoning", 1, 1)
    first = found["samples"]["vsc_default"][0]["arguments"][0]
    assert first[0].count("Question: ") == 1
    assert (first[1]["until"], first[1]["max_gen_toks"]) == ([], 16384)
