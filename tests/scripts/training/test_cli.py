"""Flags: every field of a recipe has one, and a mistake is one line with the fix."""

import json
from dataclasses import fields

import pytest

from scripts.core.cli import read_pairs
from scripts.training.cli import FLAG_NAMES, read_flags, with_flags
from scripts.training.recipes import UNTRAINED, Recipe, find_recipe
from tests.commands import ROOT, run_python

SAY = ("--recipe", "swap-delta")
CHANGES = {
    "data": ("swap-nops5", "swap-nops5"),
    "data_args": ("num_items=9", {"num_items": 9}),
    "model": ("llama", "llama"),
    "model_args": ("hidden_size=48", None),
    "mixer": ("a.py:B", "a.py:B"),
    "num_samples": ("6400", 6400),
    "max_parameters": ("7", 7),
    "batch_size": ("32", 32),
    "mixed_precision": ("bf16", "bf16"),
    "learning_rate": ("1e-3", 1e-3),
    "warmup_steps": ("5", 5),
    "betas": ("0.8 0.9", (0.8, 0.9)),
    "weight_decay": ("0.5", 0.5),
    "weight_decay_on": ("matrices", "matrices"),
    "max_grad_norm": ("0", 0.0),
    "label_smoothing": ("0.2", 0.2),
    "loss": ("all", "all"),
    "objective": ("next-token", "next-token"),
    "num_validations": ("3", 3),
    "validation_questions": ("50", 50),
    "early_stop_pct": ("0.5", 0.5),
    "curriculum": ("0:1 0.5:1-5", ("0:1", "0.5:1-5")),
}
TOGETHER = {
    "mixer_args": "--mixer a.py:B --mixer-args a=1",
    "direction": "--mixer a.py:B --direction both",
    "early_stop_validations": "--early-stop-pct 1 --early-stop-validations 5",
}


@pytest.mark.parametrize("name", [f.name for f in fields(Recipe) if f.name not in UNTRAINED])
def test_every_field_of_a_recipe_has_its_flag(name):
    before = find_recipe("swap-delta")
    words, value = CHANGES.get(name, (None, None))
    flag = f"--{FLAG_NAMES.get(name, name).replace('_', '-')}"
    line = TOGETHER.get(name) or f"{flag} {words}"
    _, recipe = read_flags([*SAY, *line.split()])
    assert getattr(recipe, name) != getattr(before, name)
    if value is not None:
        assert getattr(recipe, name) == value


def test_arguments_of_the_model_are_changed_one_by_one_and_fall_with_it():
    before = find_recipe("swap-delta").model_args
    _, recipe = read_flags([*SAY, "--model-args", "hidden_size=48", "conv_kernel_sizes=[3]"])
    assert recipe.model_args == {**before, "hidden_size": 48, "conv_kernel_sizes": [3]}
    _, recipe = read_flags([*SAY, "--model", "llama", "--model-args", "hidden_act=silu"])
    assert recipe.model_args == {"hidden_act": "silu"}
    assert read_flags(SAY)[1] == find_recipe("swap-delta")


@pytest.mark.parametrize(
    "text, value",
    [
        ("False", False), ("false", False), ("None", None), ("null", None), ("3,4", [3, 4]),
        ("(1,)", [1]), ("[true, null]", [True, None]), ('{"a": true}', {"a": True}),
        ("1e-3", 1e-3), ("'3'", "3"), ("gelu", "gelu"), ("a=b", "a=b"), ("", ""),
        ("nan", "nan"), ("b'x'", "b'x'"), ("9" * 5000, "9" * 5000), ("[" * 9999, "[" * 9999),
    ],
)  # fmt: skip
def test_a_value_is_read_as_python_or_json_has_it_and_else_as_a_text(text, value):
    read = read_pairs("--mixer-args", [f"x={text}"])["x"]
    assert (read, type(read)) == (value, type(value))


def test_seeds_follow_from_the_first():
    assert read_flags(SAY)[0].seeds is None
    assert read_flags([*SAY, "--trials", "3"])[0].seeds == [0, 1, 2]
    assert read_flags([*SAY, "--trials", "2", "--seed", "5"])[0].seeds == [5, 6]
    assert read_flags([*SAY, "--seed", "5"])[0].seeds == [5]


@pytest.mark.parametrize(
    "line, words",
    [
        ("--max-sampels 3", "flag --max-sampels is unknown: did you mean '--max-samples'?"),
        ("--learning-rat=1", "flag --learning-rat is unknown: did you mean '--learning-rate'?"),
        ("--max-sample 3", "flag --max-sample is unknown"),  # no abbreviations: they change
        ("--batch-size many", "invalid int value: 'many'"),
        ("stray", "'stray' belongs to no flag"),
        ("--data swap-nop5", "did you mean 'swap-nops5'?"),
        ("--model-args hidden_size", "--model-args 'hidden_size': write name=value"),
        ("--model-args a=1\nb=2", "holds a line break"),
        ("--betas 0.9", "betas is [0.9]: give two numbers"),
        ("--max-samples 10", "--max-samples is 10: one step needs --batch-size 64"),
        ("--trials 0", "argument --trials: 0 must be from 1 to 65,536"),
        ("--seed -1", "argument --seed: -1 must be from 0 to"),
        ("--jobs 100000", "argument --jobs: 100000 must be from 1 to 1,024"),
        ("--jobs two", "argument --jobs: 'two' is not a whole number"),
        ("--device cpu", "flag --device is unknown: accelerate chooses it"),
        ("--num-layers 2", "flag --num-layers is unknown: it is a field of the model"),
        ("--name a/b", "--name 'a/b': use up to 80 letters"),
        ("--data-args nops=5,1", "nops is (5, 1): the lowest comes first"),
        (f"--seed {2**64}", f"--seed: {2**64} must be from 0 to"),
        (f"--seed {2**64 - 1} --trials 2", "the last trial's seed must be below 2^64"),
        ("--max-minutes 0", "--max-minutes 0 must be above 0"),
        ("--private", "--private without --push-to-hub"),
        ("--lr 1e-3", "flag --lr is unknown: did you mean '--learning-rate'?"),
        ("--dataset default", "flag --dataset is unknown: did you mean '--data'?"),
        ("--epochs 3", "flag --epochs is unknown: did you mean '--max-samples'?"),
        ("--push-to-hub name", "--push-to-hub 'name' is not a repository: write OWNER/NAME"),
        ("--push-to-hub a/é", "--push-to-hub 'a/é' is not a repository: write OWNER/NAME"),
        ("--push-to-hub a/b --model x.py:make", "no Auto class loads what a function made"),
        ("--push-to-hub a/b", "--push-to-hub needs a token: set HF_TOKEN"),
        ("--early-stop-validations 2", "without --early-stop-pct"),
        ("--mixer-args a=1", "without a mixer"),
        ("--curriculum 1", "--curriculum has '1': write SHARE:NOPS or SHARE:LOWEST-HIGHEST"),
        ("--curriculum 0.1:1", "--curriculum has '0.1:1': shares begin at 0 and rise to below 1"),
        ("--curriculum 0:1 0:2", "--curriculum has '0:2': shares begin at 0 and rise"),
        ("--curriculum 0:2-1", "has '0:2-1': the lowest number of operations comes first"),
        ("--curriculum 0:1-6", "has '0:1-6': the lowest number of operations comes first, and the"),
        ("--mixer a.py:B --model-args num_heads=2", "--model-args num_heads with a mixer, whose"),
        ("--report-to tensorbord", "'tensorbord' is unknown: did you mean 'tensorboard'?"),
    ],
)
def test_a_mistake_is_one_line(line, words):
    with pytest.raises(ValueError) as error:
        read_flags([*SAY, *line.split(" ")])
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert "None" not in str(error.value)


def test_an_unknown_recipe_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="'attn-0440' is unknown: did you mean 'attn-0"):
        read_flags(["--recipe", "attn-0440"])
    with pytest.raises(ValueError, match="--recipe"):
        read_flags([])
    with pytest.raises(ValueError, match="flag --recpie is unknown: did you mean '--recipe'"):
        read_flags(["--recpie", "swap-delta"])  # before the one that is missing


def test_a_tracker_that_is_not_installed_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", list)
    with pytest.raises(ValueError, match="'comet_ml' is not installed: pip install comet-ml"):
        read_flags([*SAY, "--report-to", "comet_ml"])


def test_what_the_launcher_says_joins_the_recipe_and_is_not_contradicted(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert read_flags(SAY)[1].mixed_precision == "bf16"
    with pytest.raises(ValueError, match="--mixed-precision no contradicts accelerate's bf16"):
        read_flags([*SAY, "--mixed-precision", "no"])
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    with pytest.raises(ValueError, match="gradient_accumulation_steps is 4: train with 1"):
        read_flags(SAY)


def test_flags_are_read_without_a_heavy_library():
    code = (
        "import sys; from scripts.training.cli import read_flags\n"
        "try: read_flags(['--recipe', 'swap-delta', '--learning-rat', '1'])\n"
        "except ValueError as error: assert 'did you mean' in str(error)\n"
        "read_flags(['--recipe', 'swap-delta', '--model-args', 'hidden_size=48'])\n"
        "print(*{'torch', 'transformers', 'accelerate', 'datasets'} & {*sys.modules})"
    )
    done = run_python("-c", code, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("\n", "")


@pytest.mark.parametrize(
    "line, name",
    [
        ("", "swap-delta"),
        ("--mixer torch.nn:GRU", "GRU"),
        ("--mixer mine/layer.py:Mine", "Mine"),
        ("--model llama", "llama"),
        ("--model me/model-1", "model-1"),
        ("--mixer torch.nn:GRU --name first", "first"),
    ],
)
def test_a_run_is_named_after_its_layer_or_model_unless_it_has_a_name(line, name):
    recipe = read_flags([*SAY, *line.split()])[1]
    assert recipe.name == name
    assert recipe.weight_decay_on == ("all" if name == "swap-delta" else "matrices")


def test_a_run_that_is_resumed_keeps_its_name_and_weight_decay(tmp_path):
    kept = find_recipe("swap-delta").changed(mixer="torch.nn:GRU").to_json()
    del kept["weight_decay_on"]  # as an earlier version wrote it
    (tmp_path / "run.json").write_text(json.dumps({"recipe": kept, "seeds": [0]}))
    line = ["--mixer", "torch.nn:GRU", "--output-dir", str(tmp_path), "--resume"]
    recipe = read_flags([*SAY, *line])[1]
    assert (recipe.name, recipe.weight_decay_on) == ("swap-delta", "all")
    assert recipe.same_training(Recipe.from_dict(kept))


def test_messages_name_flags_in_place_of_fields():
    message = "the loss is nan after 64 samples: lower learning_rate (now 1) or set max_grad_norm"
    assert with_flags(message).endswith("lower --learning-rate (now 1) or set --max-grad-norm")
    assert (
        with_flags("f(batch_size=1) raised 'num_samples'") == "f(batch_size=1) raised 'num_samples'"
    )


def test_jobs_are_refused_where_processes_were_launched(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="--jobs 2 in 2 launched processes"):
        read_flags([*SAY, "--jobs", "2"])


def test_sizes_of_the_delta_layer_that_a_recipe_has_are_no_fault_of_a_mixer():
    line = ["--mixer", "a.py:B", "--model-args", "hidden_size=48"]
    assert read_flags([*SAY, *line])[1].model_args["hidden_size"] == 48
