"""Any architecture, layer or file is trained by one command."""

import sys

import pytest

from scripts.core.inference import measure
from scripts.core.model_loading import load_model
from scripts.core.trial_store import read_records
from tests.commands import run_python, script
from tests.scripts.training.commands import train
from tests.vsc_models import own_layers
from vsc_dataset import sample

FILE = own_layers.__file__
TINY = {
    "llama": "hidden_size=16 num_hidden_layers=1 num_attention_heads=2 num_key_value_heads=2 "
    "intermediate_size=16",
    "bert": "hidden_size=16 num_hidden_layers=1 num_attention_heads=2 intermediate_size=16",
    "mamba2": "hidden_size=16 num_hidden_layers=1 num_heads=2 head_dim=16 state_size=4 n_groups=1 "
    "chunk_size=16",
}
LAYERS = {
    f"{FILE}:Complex": "",
    "torch.nn:GRU": "num_layers=1",
    f"{FILE}:GivesTuple": "gain=0.5",
    f"{FILE}:SeesBothWays": "",
}
ARCHITECTURES = (
    "llama", "gpt2", "bert", "roformer", "modernbert", "eurobert", "lfm2", "recurrent-gemma",
    "minimax", "rwkv", "mamba2", "olmo-hybrid", "qwen3-next", "xlstm",
)  # fmt: skip


def train_briefly(*flags, cwd):
    """Train for five steps and evaluate on 200 samples."""
    small = ("--max-samples", 320, "--final-samples", 200, "--validation-questions", 200)
    done = train(*flags, *small, "--output-dir", cwd / "run", cwd=cwd)
    assert done.exit_code == 0, done.stderr


def flag(name, words):
    return [name, *words.split()] if words else []


def check_run(folder):
    """A finished run's record and checkpoint fit each other."""
    (record,) = read_records(folder / "trials.jsonl")
    model = load_model(folder, trust_remote_code=True)
    assert record.parameters == sum(p.numel() for p in model.parameters())
    found = measure(model, sample("swap-nops1-5", "test", range(record.test_questions)))
    assert found.rates["mask_error_pct"] == pytest.approx(record.test_mask_error_pct, abs=0.01)
    return record


@pytest.mark.parametrize("model_type", TINY)
def test_an_architecture_is_trained_by_a_command(model_type, tmp_path):
    words = TINY[model_type].split()
    flags = ["--recipe", "zoo-delta", "--model", model_type, "--model-args", *words]
    train_briefly(*flags, cwd=tmp_path)
    (record,) = read_records(tmp_path / "run" / "trials.jsonl")
    model = load_model(tmp_path / "run")
    assert model.config.model_type == model_type
    assert (record.samples, record.parameters) == (320, model.num_parameters())


@pytest.mark.parametrize("mixer", LAYERS, ids=lambda place: place.rpartition(":")[2])
def test_a_layer_is_trained_by_a_command(mixer, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # a layer's code leaves __pycache__
    flags = ["--recipe", "swap-delta", "--mixer", mixer, *flag("--mixer-args", LAYERS[mixer])]
    train_briefly(*flags, cwd=tmp_path)
    assert check_run(tmp_path / "run").samples == 320


def test_a_file_makes_a_model_that_is_trained_by_a_command(tmp_path):
    train_briefly("--recipe", "zoo-delta", "--model", f"{FILE}:make_model", cwd=tmp_path)
    check_run(tmp_path / "run")


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--model", "llama"], "parameters or more, "),
        (["--mixer", f"{FILE}:Shrinks"], "Shrinks gives shape (2, 31, 32) for (2, 31, 64)"),
        (["--direction", "both"], "direction without a mixer"),
    ],
)
def test_a_mistake_is_one_clear_line_before_anything_is_written(flags, words, tmp_path):
    done = train("--recipe", "zoo-delta", "--output-dir", tmp_path / "run", *flags, cwd=tmp_path)
    assert done.exit_code == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def process(command, *flags, cwd):
    """Run a command as a user does."""
    done = run_python(script(command), *flags, cwd=cwd)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.soak
def test_fourteen_architectures_and_the_layers_are_trained_and_evaluated_together(tmp_path):
    folders = []
    for name in ARCHITECTURES:
        flags = ["--recipe", f"zoo-{name}", "--max-samples", 6400]
        folders.append(tmp_path / name)
        process("train", *flags, "--output-dir", folders[-1], cwd=tmp_path)
    for number, (mixer, words) in enumerate(LAYERS.items()):
        flags = ["--recipe", "swap-delta", "--mixer", mixer, *flag("--mixer-args", words)]
        folders.append(tmp_path / f"layer-{number}")
        flags += ["--direction", "both", "--max-samples", 6400, "--output-dir", folders[-1]]
        process("train", *flags, cwd=tmp_path)
    said = process("evaluate", *folders, "--trust-remote-code", cwd=tmp_path)
    for folder in folders:
        record = check_run(folder)
        assert record.samples == 6400
        assert record.val_loss < 5  # 5.5 is a guess among 256 bytes
        assert str(folder) in said
