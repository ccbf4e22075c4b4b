"""Flags: every field of a recipe has one, and a mistake is one line with the fix."""

import json

import pytest

from scripts.training.cli import TRAINED, read_flags
from scripts.training.recipes import Recipe, find_recipe, recipe_flag
from tests.commands import ROOT, run_python

SAY = ("--recipe", "swap-delta")
VALUES = {
    "data": "swap-nops5", "data_args": {"num_items": 9}, "model": "llama",
    "model_args": {"hidden_size": 48}, "mixer": "a.py:B", "mixer_args": {"a": 1},
    "direction": "both", "curriculum": ("0:1", "0.5:1-5"), "num_samples": 6400,
    "max_parameters": 7, "batch_size": 32, "mixed_precision": "bf16", "learning_rate": 1e-3,
    "warmup_steps": 5, "betas": (0.8, 0.9), "weight_decay": 0.5, "weight_decay_on": "matrices",
    "max_grad_norm": 0.0, "label_smoothing": 0.2, "loss": "all", "objective": "next-token",
    "num_validations": 3, "samples_per_validation": 50, "early_stop_pct": 0.5,
    "early_stop_validations": 5,
}  # fmt: skip
NEEDS = {"mixer_args": "--mixer a.py:B", "direction": "--mixer a.py:B"}
NEEDS["early_stop_validations"] = "--early-stop-pct 1"


@pytest.mark.parametrize("name", TRAINED)
def test_every_field_of_a_recipe_has_its_flag(name):
    value, before = VALUES[name], getattr(find_recipe("swap-delta"), name)
    texts = [f"{k}={x}" for k, x in value.items()] if isinstance(value, dict) else [value]
    texts = value if isinstance(value, tuple) else texts
    line = [*NEEDS.get(name, "").split(), recipe_flag(name), *map(str, texts)]
    changed = getattr(read_flags([*SAY, *line])[1], name)
    assert changed != before
    assert changed == ({**before, **value} if isinstance(value, dict) else value)


def test_arguments_of_the_model_are_changed_one_by_one_and_fall_with_it():
    before = find_recipe("swap-delta").model_args
    _, recipe = read_flags([*SAY, "--model-args", "hidden_size=48", "conv_kernel_sizes=[3]"])
    assert recipe.model_args == {**before, "hidden_size": 48, "conv_kernel_sizes": [3]}
    _, recipe = read_flags([*SAY, "--model", "llama", "--model-args", "hidden_act=silu"])
    assert recipe.model_args == {"hidden_act": "silu"}
    # A mixer stands in a recipe that has sizes of the delta layer, too.
    _, recipe = read_flags([*SAY, "--mixer", "a.py:B", "--model-args", "hidden_size=48"])
    assert recipe.model_args == {**before, "hidden_size": 48}
    assert read_flags(SAY)[1] == find_recipe("swap-delta")


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
        ("--max-samples 10", "num_samples (--max-samples) is 10: one step needs batch_size 64"),
        ("--jobs 100000", "argument --jobs: 100000 must be from 1 to 1,024"),
        ("--jobs two", "argument --jobs: 'two' is not a whole number"),
        ("--device cpu", "flag --device is unknown: accelerate chooses it"),
        ("--num-layers 2", "flag --num-layers is unknown: it is a field of the model"),
        ("--name a/b", "--name 'a/b': use up to 80 letters"),
        ("--data-args nops=5,1", "nops is (5, 1): the lowest comes first"),
        (f"--seed {2**64}", f"--seed: {2**64} must be from 0 to"),
        ("--max-minutes 0", "argument --max-minutes: 0 must be above 0"),
        ("--private", "--private without --push-to-hub"),
        ("--lr 1e-3", "flag --lr is unknown: did you mean '--learning-rate'?"),
        ("--epochs 3", "flag --epochs is unknown: did you mean '--max-samples'?"),
        ("--push-to-hub name", "--push-to-hub 'name' is not a repository: write OWNER/NAME"),
        ("--push-to-hub a/b --model x.py:make", "no Auto class loads what a function made"),
        ("--push-to-hub a/b", "no token: set HF_TOKEN"),
        ("--early-stop-validations 2", "without --early-stop-pct"),
        ("--curriculum 1", "curriculum has '1': write SHARE:NOPS or SHARE:LOWEST-HIGHEST"),
        ("--curriculum 0.1:1", "curriculum has '0.1:1': shares begin at 0 and rise to below 1"),
        ("--curriculum 0:2-1", "has '0:2-1': the lowest number of operations comes first"),
        ("--curriculum 0:1-6", "has '0:1-6': the lowest number of operations comes first, and the"),
        ("--mixer a.py:B --model-args num_heads=2", "--model-args num_heads with a mixer, whose"),
        ("--report-to tensorbord", "'tensorbord' is unknown: did you mean 'tensorboard'?"),
    ],
)
def test_a_mistake_is_one_line(line, words):
    with pytest.raises(ValueError) as error:
        read_flags([*SAY, *line.split(" ")])
    message = str(error.value)
    assert words in message
    assert "\n" not in message
    assert "None" not in message


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
    monkeypatch.delenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="--jobs 2 in 2 launched processes"):
        read_flags([*SAY, "--jobs", "2"])


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
