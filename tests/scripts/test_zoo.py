"""Any architecture and any layer by one command; several at one budget on one leaderboard."""

import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.core.inference import measure
from scripts.core.model_loading import find_device, load_model, open_model
from scripts.core.trial_store import read_records
from scripts.evaluation.grid import horizon
from scripts.reproduction import zoo
from scripts.reproduction.zoo import choose, run_zoo
from scripts.training.distributed import make_accelerator
from scripts.training.recipes import find_recipe
from scripts.training.runs import open_run, run_trials
from tests.vsc_models import own_layers
from vsc_dataset import sample

ROOT = Path(__file__).parents[2]
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


def here(command, *flags):
    """Run a command in this process: a fresh one spends its time on imports."""
    path = ROOT / "scripts" / f"{command}.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(path), *map(str, flags)])
        patch.setattr(sys, "path", [str(path.parent), *sys.path])
        runpy.run_path(str(path), run_name="__main__")


def flag(name, words):
    return [name, *words.split()] if words else []


def check_run(folder):
    """A finished run's record and checkpoint fit each other."""
    (record,) = read_records(folder / "trials.jsonl")
    model = load_model(folder, trust_remote_code=True)
    assert record.parameters == sum(p.numel() for p in model.parameters())
    found = measure(model, sample("swap-nops1-5", "test", range(10_000)))
    assert found.rates["mask_error_pct"] == pytest.approx(record.test_mask_error_pct, abs=0.01)
    return record


@pytest.mark.parametrize("model_type", TINY)
def test_an_architecture_is_trained_by_a_command(model_type, tmp_path):
    words = TINY[model_type].split()
    flags = ["--recipe", "zoo-delta", "--model", model_type, "--model-args", *words]
    here("train", *flags, "--max-samples", 320, "--output-dir", tmp_path / "run")
    (record,) = read_records(tmp_path / "run" / "trials.jsonl")
    model = load_model(tmp_path / "run")
    assert model.config.model_type == model_type
    assert (record.samples, record.parameters) == (320, model.num_parameters())


@pytest.mark.parametrize("mixer", LAYERS, ids=lambda place: place.rpartition(":")[2])
def test_a_layer_is_trained_by_a_command(mixer, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # a layer's code leaves __pycache__
    flags = ["--recipe", "swap-delta", "--mixer", mixer, *flag("--mixer-args", LAYERS[mixer])]
    here("train", *flags, "--max-samples", 320, "--output-dir", tmp_path / "run")
    assert check_run(tmp_path / "run").samples == 320


def test_a_file_makes_a_model_that_is_trained_by_a_command(tmp_path):
    words = ["--recipe", "zoo-delta", "--max-samples", "320", "--model"]
    here("train", *words, f"{FILE}:make_model", "--output-dir", tmp_path / "first")
    check_run(tmp_path / "first")


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--model", "lama"], "did you mean 'llama'?"),
        (["--model", "llama"], "parameters, max_parameters is 10,000,000"),
        (["--max-parameters", "1000"], "max_parameters is 1,000"),
        (["--mixer", f"{FILE}:Shrinks"], "Shrinks gives shape (2, 31, 32) for (2, 31, 64)"),
        (["--mixer", f"{FILE}:Raises"], "Raises(hidden_size=64) raised RuntimeError: no depth 1"),
        (["--mixer", "fla.layers:DeltaNet"], "pip install flash-linear-attention"),
        (["--mixer", "torch.nn:GRU", "--direction", "up"], "direction='up': use one of"),
        (["--direction", "both"], "direction without a mixer"),
    ],
)
def test_a_mistake_is_one_clear_line_before_anything_is_written(flags, words, tmp_path):
    with pytest.raises(SystemExit) as stop:
        here("train", "--recipe", "zoo-delta", "--output-dir", tmp_path / "run", *flags)
    assert words in str(stop.value)
    assert "\n" not in str(stop.value)
    assert not (tmp_path / "run").exists()


def test_the_leaderboard_is_resumed_and_made_of_the_runs(tmp_path, capsys, monkeypatch):
    flags = ["--recipes", "zoo-gru", "zoo-llama", "--max-samples", 320, "--output-dir", tmp_path]
    here("zoo", *flags, "--trials", 1)
    said = capsys.readouterr().out
    rows = json.loads((tmp_path / "leaderboard.json").read_text())
    assert {row["recipe"]: row["parameters"] for row in rows} == {
        "zoo-gru": 91_136,
        "zoo-llama": 98_624,
    }
    for row in rows:
        results = json.loads((tmp_path / row["recipe"] / "results.json").read_text())
        assert {name: row[name] for name in results} == results
        assert row["horizon"] == "0"
        assert f"{row['recipe']} " in said
        assert f"{results['sample_error_pct']['median']:.2f}" in said
    assert "first 4 " in said.split("zoo-llama")[-1]
    assert "| zoo-gru" in (tmp_path / "leaderboard.md").read_text()
    monkeypatch.setattr(zoo, "finish_run", lambda *_: pytest.fail("it was done again"))
    monkeypatch.setattr(zoo, "horizon", lambda *_: pytest.fail("it was done again"))
    here("zoo", *flags, "--trials", 1)
    assert json.loads((tmp_path / "leaderboard.json").read_text()) == rows


def test_the_horizon_is_asked_in_the_terms_of_the_training(tmp_path, monkeypatch):
    recipe = replace(find_recipe("zoo-llama"), data="default-spaced", num_samples=320)
    asked = []

    def solved(model, examples, **_):
        asked.append((examples.questions()[0], next(model.parameters()).device))
        raise ValueError("enough")

    accelerator = make_accelerator()
    folder, seeds = open_run(recipe, tmp_path / "run", [0], False, accelerator)
    run_trials(recipe, folder, seeds, accelerator)
    monkeypatch.setattr("scripts.evaluation.grid.measure", solved)
    with pytest.raises(ValueError, match="enough"):
        zoo._row(recipe, folder, seeds, accelerator, 1, None)
    with pytest.raises(ValueError, match="enough"):
        horizon(open_model(str(folder), find_device(None)))
    assert asked[0] == asked[1]
    assert asked[0][0][5:7] == ": "  # spaced, as the model has learned


def test_a_recipe_that_fails_is_a_line_and_the_others_go_on(tmp_path, monkeypatch):
    def row(recipe, *_):
        if recipe.name == "zoo-gru":
            raise ValueError("seed 0: the loss is nan")
        spread = {"median": 1.0, "solved": 0, "n": 1}
        names = ("sample_error_pct", "mask_error_pct", "samples_per_second")
        return {
            "recipe": recipe.name,
            "parameters": 1,
            "horizon": "0",
            **dict.fromkeys(names, spread),
        }

    def start(recipe, *_):
        if recipe.name == "zoo-bert":
            raise RuntimeError("no kernel\nhere")

    monkeypatch.setattr(zoo, "_row", row)
    monkeypatch.setattr(zoo, "check_recipe", start)
    recipes = choose(["zoo-gru", "zoo-bert", "zoo-lstm"], 320)
    first, _, second = run_zoo(recipes, tmp_path, [0])
    assert "zoo-gru failed: seed 0: the loss is nan" in first
    assert "zoo-bert failed: RuntimeError: no kernel here" in second
    assert second.index("zoo-lstm") < second.index("zoo-gru")


def test_a_leaderboard_has_one_budget():
    with pytest.raises(ValueError, match="'default-delta' has data default, 'swap-delta' has swap"):
        choose(["swap-delta", "default-delta"])
    with pytest.raises(ValueError, match="num_samples 600000, 'zoo-gru' has 100000"):
        choose(["zoo-gru", "swap-delta-far"])
    with pytest.raises(ValueError, match="did you mean 'zoo-gru'"):
        choose(["zoo-grue"])
    names = [recipe.name for recipe in choose([])]
    assert len(names) >= 14
    assert all(name.startswith("zoo-") for name in names)


def process(command, *flags, cwd):
    """Run a command as a user does."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / f"{command}.py"), *map(str, flags)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.soak
def test_fourteen_architectures_and_three_layers_by_commands_and_one_evaluation(tmp_path):
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
    assert len(folders) == 17
    said = process("evaluate", *folders, "--trust-remote-code", cwd=tmp_path)
    for folder in folders:
        record = check_run(folder)
        assert record.samples == 6400
        assert record.val_loss < 5  # 5.5 is a guess among 256 bytes
        assert str(folder) in said
