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
LAYERS = {
    "Complex": f"--mixer {FILE}:Complex",
    "GRU": "--mixer torch.nn:GRU --mixer-args num_layers=1",
    "GivesTuple": f"--mixer {FILE}:GivesTuple --mixer-args gain=0.5",
    "SeesBothWays": f"--mixer {FILE}:SeesBothWays",
}
MODELS = {
    "llama": "--model llama --model-args hidden_size=16 num_hidden_layers=1 num_attention_heads=2 "
    "num_key_value_heads=2 intermediate_size=16",
    "bert": "--model bert --model-args hidden_size=16 num_hidden_layers=1 num_attention_heads=2 "
    "intermediate_size=16",
    "mamba2": "--model mamba2 --model-args hidden_size=16 num_hidden_layers=1 num_heads=2 "
    "head_dim=16 state_size=4 n_groups=1 chunk_size=16",
    "make_model": f"--model {FILE}:make_model",
}
ARCHITECTURES = (
    "llama", "gpt2", "bert", "roformer", "modernbert", "eurobert", "lfm2", "recurrent-gemma",
    "minimax", "rwkv", "mamba2", "olmo-hybrid", "qwen3-next", "xlstm",
)  # fmt: skip


def check_run(folder):
    """A finished run's record and checkpoint fit each other."""
    (record,) = read_records(folder / "trials.jsonl")
    model = load_model(folder, trust_remote_code=True)
    assert record.parameters == sum(p.numel() for p in model.parameters())
    found = measure(model, sample("swap-nops1-5", "test", range(record.test_questions)))
    assert found.rates["mask_error_pct"] == pytest.approx(record.test_mask_error_pct, abs=0.01)
    return record


@pytest.mark.parametrize("flags", [*LAYERS.values(), *MODELS.values()], ids=[*LAYERS, *MODELS])
def test_a_layer_is_trained_by_a_command(flags, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # a layer's code leaves __pycache__
    small = "--recipe swap-delta --max-samples 320 --final-samples 200 --samples-per-validation 200"
    done = train(*f"{small} --output-dir run {flags}".split(), cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert check_run(tmp_path / "run").samples == 320


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
    for name, words in LAYERS.items():
        flags = ["--recipe", "swap-delta", *words.split(), "--direction", "both"]
        folders.append(tmp_path / name)
        flags += ["--max-samples", 6400, "--output-dir", folders[-1]]
        process("train", *flags, cwd=tmp_path)
    said = process("evaluate", *folders, "--trust-remote-code", cwd=tmp_path)
    for folder in folders:
        record = check_run(folder)
        assert record.samples == 6400
        assert record.val_loss < 5  # 5.5 is a guess among 256 bytes
        assert str(folder) in said
