"""The tasks in the harness's own runner, on a tiny language model and on one that knows."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from vsc_dataset import execute, sample

ROOT = Path(__file__).parents[2]
TASKS = ROOT / "hub_cards" / "lm_eval"
LIMIT = 8

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        find_spec("lm_eval") is None, reason="needs lm_eval: pip install 'lm_eval[hf]'"
    ),
]

TINY = """
import sys, torch
from tokenizers import Tokenizer, decoders, models, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
torch.manual_seed(0)
inner = Tokenizer(models.BPE())
inner.pre_tokenizer, inner.decoder = ByteLevel(add_prefix_space=False), decoders.ByteLevel()
alphabet = trainers.BpeTrainer(initial_alphabet=ByteLevel.alphabet(), special_tokens=["<end>"])
inner.train_from_iterator([], alphabet)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>")
config = GPT2Config(vocab_size=len(tokenizer), n_positions=2048, n_embd=16, n_layer=1, n_head=2)
GPT2LMHeadModel(config).save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
"""

KNOWING = """
import json, re, sys
import lm_eval
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
sys.path.insert(0, sys.argv[1])
from vsc_dataset import execute

class Knowing(LM):
    before, behind = "", ""
    def generate_until(self, requests):
        asked = [re.findall("Question: (.*)", request.args[0])[-1] for request in requests]
        return [f"{self.before} {execute(text)}{self.behind}" for text in asked]
    def loglikelihood(self, requests): raise NotImplementedError
    def loglikelihood_rolling(self, requests): raise NotImplementedError

model, figures = Knowing(), []
for model.before, model.behind in (("", ""), (" They are", "."), ("", "X")):
    found = lm_eval.simple_evaluate(
        model, tasks=["vsc_swap_nops5", "vsc_default"], limit=int(sys.argv[2]),
        task_manager=TaskManager(include_path=sys.argv[3]), bootstrap_iters=0,
    )["results"]
    figures.append({
        task: [rates[f"exact_match,{name}"] for name in ("strict", "last-word")]
        for task, rates in sorted(found.items())
    })
print(json.dumps(figures))
"""


def run(command, cwd):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the Parquet files that the tasks name, and a tiny GPT-2."""
    folder = tmp_path_factory.mktemp("lm_eval")
    build = [sys.executable, ROOT / "scripts" / "build_dataset.py", "--output-dir", "data/vsc"]
    run([*build, "--config", "swap-nops5", "default"], folder)
    run([sys.executable, "-c", TINY, "gpt2"], folder)
    return folder


def test_the_runner_asks_a_tiny_model_the_rows_of_the_test_split(workplace):
    runner = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", "pretrained=gpt2"]
    tasks = ["--tasks", "vsc_swap_nops5,vsc_default", "--include_path", TASKS, "--limit", LIMIT]
    run([*runner, *tasks, "--log_samples", "--output_path", "out"], workplace)
    for task, config in (("vsc_swap_nops5", "swap-nops5"), ("vsc_default", "default")):
        (path,) = workplace.glob(f"out/*/samples_{task}_*.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        strict = [line for line in lines if line["filter"] == "strict"]
        questions = sample(config, "test", range(LIMIT)).questions()
        assert [line["doc"]["question"] for line in strict] == questions
        assert [line["target"] for line in strict] == [execute(text) for text in questions]
        shots = sample(config, "validation", range(5)).questions()
        told = "\n\n".join(f"Question: {shot}\nAnswer: {execute(shot)}" for shot in shots)
        for line in strict:
            prompt = line["arguments"]["gen_args_0"]["arg_0"]
            assert prompt.endswith(f"{told}\n\nQuestion: {line['doc']['question']}\nAnswer:")
            assert prompt.count("Question: ") == 6


def test_a_model_that_knows_is_right(workplace):
    out = run([sys.executable, "-c", KNOWING, ROOT, 200, TASKS], workplace)
    plain, talking, wrong = json.loads(out.splitlines()[-1])
    assert plain["vsc_swap_nops5"] == [1.0, 1.0]
    assert plain["vsc_default"][0] == 1.0
    assert talking["vsc_swap_nops5"] == [0.0, 1.0]
    assert wrong == {"vsc_swap_nops5": [0.0, 0.0], "vsc_default": [0.0, 0.0]}
