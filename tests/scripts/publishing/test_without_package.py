"""What was pushed arrives with users without this package, who have the libraries and the card.

Each step is a process of its own with an empty HF_HOME. The quick test takes a small dataset; the
soak test builds, trains, pushes and loads as the README says.
"""

import json
import re
from pathlib import Path

import evaluate
import pytest
from transformers import pipeline

import vsc_models
from tests.commands import SITE, Result, run_python, script
from tests.fake_hub import clients
from tests.fake_hub.server import Hub, running
from tests.scripts.publishing.made import SMALL, make_dataset
from vsc_dataset import METRIC_PATH, Samples, sample

LOAD_ROWS = """
import json, sys
from datasets import load_dataset
repo, config, split, rows = *sys.argv[1:4], int(sys.argv[4])
mapped = load_dataset(repo, config, split=split)
ways = (load_dataset(repo, config), load_dataset(repo, data_dir=config))
by_name, by_folder = ({name: len(rows) for name, rows in way.items()} for way in ways)
assert by_name == by_folder, by_folder
streamed = load_dataset(repo, config, split=split, streaming=True, revision="v1.0.0")
found = [mapped.select(range(rows)).to_list(), list(streamed.take(rows))]
print(json.dumps([len(mapped), *found]))
assert not [name for name in sys.modules if name.startswith("vsc_")]
"""

ASK = """
import json, sys
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline
repo, questions = sys.argv[1], json.loads(sys.argv[2])
ask = pipeline("vsc", model=repo, trust_remote_code=True)
model = AutoModelForMaskedLM.from_pretrained(repo, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(repo, trust_remote_code=True)
again = type(ask)(model, tokenizer=tokenizer)
print(json.dumps([[found["answer"] for found in pipe(questions)] for pipe in (ask, again)]))
try:
    import vsc_models
except ModuleNotFoundError:
    print(json.dumps(tokenizer("NP:1>2")["input_ids"]))
"""

MEASURE = """
import json, sys
import evaluate
given = json.loads(sys.argv[2])
for more in {}, {"revision": sys.argv[3]}:
    print(json.dumps(evaluate.load(sys.argv[1], **more).compute(**given)))
"""

USE_WHEEL = """
import sys
import vsc_dataset
from datasets import load_dataset
assert vsc_dataset.__file__.startswith(sys.prefix), vsc_dataset.__file__
small = dict(num_train=100, num_validation=100, num_test=100, num_test_programs=100)
print(load_dataset("vsc", "swap-nops5", split="validation", **small)[7])
"""


@pytest.fixture(name="hub")
def fixture_hub():
    with running(clients.USERS) as hub:
        yield hub


def push(hub: Hub, home: Path, kind: str, folder: object, repo: str) -> str:
    """Push by the command and return the card that stands then."""
    done = clients.push(hub, home, kind, folder, repo, "--yes")
    assert done.exit_code == 0, done.stderr
    key = ({"metric": "space"}.get(kind, kind) + "s", repo)
    return hub.repos[key].commits[-1][1]["README.md"].data.decode()


def said(done: Result) -> list[str]:
    assert done.exit_code == 0, done.stderr
    assert clients.TOKEN not in done.stdout + done.stderr
    return done.stdout.splitlines()


def rows_of(examples: Samples) -> list[dict]:
    columns = (examples.questions(), examples.answers(), examples.length, examples.nops)
    names = ("question", "answer", "length", "nops")
    return [
        dict(zip(names, (q, a, int(length), int(nops)), strict=True))
        for q, a, length, nops in zip(*columns, strict=True)
    ]


def code_of(card: str, word: str) -> str:
    """The Python block of a card that has this word in it."""
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if word in b)
    return block


def check_dataset(hub, home, config, examples, length):
    (line,) = said(
        clients.without_package(
            hub, home, LOAD_ROWS, "acme/vsc", config, "validation", len(examples.labels)
        )
    )
    assert json.loads(line) == [length, rows_of(examples), rows_of(examples)]


def check_model(hub, home, repo, run):
    questions = sample("swap-nops5", "test", range(20)).questions()
    ask = pipeline("vsc", model=str(run), pipeline_class=vsc_models.VscPipeline, device="cpu")
    answers = [found["answer"] for found in ask(questions)]
    found, ids = said(clients.without_package(hub, home, ASK, repo, json.dumps(questions)))
    assert json.loads(found) == [answers, answers]
    assert json.loads(ids) == list(b"NP:1>2")


def check_metric(hub, home, repo, revision):
    given = {
        "predictions": ["IFQZY", "AB", ""],
        "references": ["IFQZZ", "AB", "N"],
        "questions": ["ZIYFQ:5>3", "AB:", "NP:-1"],
    }
    ours = evaluate.load(METRIC_PATH).compute(**given)
    lines = said(clients.without_package(hub, home, MEASURE, repo, json.dumps(given), revision))
    assert [json.loads(line) for line in lines] == 2 * [json.loads(json.dumps(ours))]


def test_the_dataset_loads_by_name_and_as_a_stream(hub, tmp_path):
    folder = make_dataset(tmp_path / "vsc")
    card = push(hub, tmp_path / "pusher", "dataset", folder, "acme/vsc")
    config = SMALL["swap-nops5"]
    examples = sample(config, "validation", range(config.num_validation))
    check_dataset(hub, tmp_path / "reader", "swap-nops5", examples, config.num_validation)
    code = code_of(card, "print(rows") + code_of(card, "hashlib") + code_of(card, "def split_of")
    first = rows_of(examples)[0]
    line = said(clients.without_package(hub, tmp_path / "by-the-card", code))
    assert line == [f"{first['question']} {first['answer']}"]


@pytest.mark.soak
def test_everything_that_is_published_arrives(hub, tmp_path):
    """Build, train, push and load, with the published card's own lines."""
    run, folder = tmp_path / "run", tmp_path / "vsc"
    train = ("train", "--recipe", "swap-delta", "--output-dir", run)
    build = ("build_dataset", "--output-dir", folder, "--config", "swap-nops5", "grid-len3")
    for name, *flags in (train, build):
        said(run_python(script(name), *flags, cwd=tmp_path))
    home = tmp_path / "pusher"
    card = push(hub, home, "dataset", folder, "acme/vsc")
    model_card = push(hub, home, "model", run, "acme/vsc-swap-delta")
    metric_card = push(hub, home, "metric", METRIC_PATH, "acme/vsc_error")
    for path in home.rglob("*"):
        assert not path.is_file() or clients.TOKEN.encode() not in path.read_bytes()

    examples = sample("swap-nops5", "validation", range(10_000))
    check_dataset(hub, tmp_path / "reader-1", "swap-nops5", examples, 10_000)
    check_model(hub, tmp_path / "reader-2", "acme/vsc-swap-delta", run)
    (revision,) = re.findall(r'revision="(v.*?)"', metric_card)
    check_metric(hub, tmp_path / "reader-3", "acme/vsc_error", revision)

    example = sample("swap-nops1-5", "validation", [0])
    code = code_of(model_card, "pipeline")
    assert said(clients.without_package(hub, tmp_path / "reader-4", code)) == example.answers()
    gives = metric_card.split("Gives:\n\n```python\n")[1].split("```")[0]
    code = code_of(metric_card, "evaluate.load").replace("metric.compute(", "print(metric.compute(")
    line = said(clients.without_package(hub, tmp_path / "reader-5", code.rstrip() + ")"))[-1]
    assert eval(line) == eval(gives)
    _wheel(hub, tmp_path / "reader-6", card)


def _wheel(hub, home, card):
    """The card's line installs the package where nothing was, and `load_dataset("vsc")` works."""
    seen = clients.environment(hub, home)
    said(run_python("-m", "venv", home / "venv", cwd=home, inherited={}, **seen))
    (wanted,) = re.findall(r'pip install "(.*?)"', card)
    python = home / "venv" / "bin" / "python"
    # The libraries are this environment's, so that the test needs no network.
    install = ("-m", "pip", "install", "--no-deps", "--no-cache-dir", wanted)
    said(run_python(*install, cwd=home, python=python, inherited={}, **seen))
    seen |= {"PYTHONPATH": SITE, "HF_HUB_OFFLINE": "1"}
    done = run_python("-c", USE_WHEEL, cwd=home, python=python, inherited={}, **seen)
    assert said(done)[-1] == str(rows_of(sample("swap-nops5", "validation", [7]))[0])
