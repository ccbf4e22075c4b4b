"""A folder's model comes back as it was, whoever made it; its code runs only on request."""

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

from scripts.core import model_loading
from scripts.core.batches import logits_of
from scripts.core.evaluation_format import format_of
from scripts.core.model_loading import (
    LoadedModel,
    adapt_config_to_model,
    head_of,
    load_model,
    make_file_model,
    open_model,
    row_width,
)
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from tests.planted import MIXER, PLANTED, plant
from tests.vsc_models import own_layers
from vsc_dataset.configs import make_config
from vsc_models import VscMixerConfig, VscMixerForMaskedLM, VscPipeline

FILE = own_layers.__file__
IDS = {"input_ids": torch.tensor([list(b"NPF:1>2:" + bytes(3))])}


def same(first, second):
    with torch.no_grad():
        return torch.equal(logits_of(first.eval(), IDS), logits_of(second, IDS))


def test_a_model_from_a_file_keeps_file_arguments_and_weights(tmp_path):
    path = tmp_path / "mine.py"
    shutil.copyfile(FILE, path)
    model = make_file_model(f"{path}:make_model", {"width": 8})
    path.write_text("broken")
    for folder in (tmp_path / "first", tmp_path / "second"):
        model.save_pretrained(folder)
        assert (folder / "made_by.py").read_bytes() == Path(FILE).read_bytes()
        model_again = load_model(folder, trust_remote_code=True)
        assert same(model, model_again)
        model = model_again


def test_the_code_of_a_model_runs_only_on_request(tmp_path):
    make_file_model(f"{FILE}:make_model", {}).save_pretrained(tmp_path)
    (tmp_path / "made_by.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ValueError, match=r"brings the code of its model, made_by\.py") as error:
        load_model(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    "made_by, words",
    [
        ("{", r"made_by\.json: '{' is not JSON .*: copy it again"),
        ("{}", r"made_by\.json: keys \['made_by', 'arguments'\] are missing: copy it again"),
        ({"width": 9}, "does not fit its model"),
        ({"width": 8, "deep": True}, "raised TypeError"),
        ([1], r"made_by.json.arguments is"),
    ],
)
def test_a_damaged_model_from_a_file_is_one_clear_line(made_by, words, tmp_path):
    make_file_model(f"{FILE}:make_model", {"width": 8}).save_pretrained(tmp_path)
    whole = json.loads((tmp_path / "made_by.json").read_text())
    if isinstance(made_by, dict | list):
        made_by = json.dumps({**whole, "arguments": made_by})
    (tmp_path / "made_by.json").write_text(made_by)
    with pytest.raises(ValueError, match=words) as error:
        load_model(tmp_path, trust_remote_code=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["swap-delta", "zoo-llama"])
def test_pickled_weights_are_not_read(name, tmp_path):
    model = build_model(find_recipe(name))
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"no file named model\.safetensors") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", PLANTED)
def test_no_code_of_a_checkpoint_is_run_without_trust(tmp_path, monkeypatch, kind):
    folder = tmp_path / "planted"
    VscMixerForMaskedLM(VscMixerConfig(**MIXER)).save_pretrained(folder)
    plant(folder, kind, tmp_path / "ran")
    monkeypatch.syspath_prepend(tmp_path)
    with suppress(ValueError):  # or the code is there, and nothing needs it
        load_model(folder)
    assert not (tmp_path / "ran").exists()


def test_a_masked_head_comes_before_a_causal_one_and_without_any_a_model_is_refused(tmp_path):
    assert head_of(AutoConfig.for_model("bert")) is AutoModelForMaskedLM
    assert head_of(AutoConfig.for_model("llama")) is AutoModelForCausalLM
    AutoConfig.for_model("vit").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'vit' has no masked or causal language-modeling head"):
        load_model(tmp_path)


def formats(model, name="checkpoint"):
    """How a model without a run.json next to it is evaluated on five swaps."""
    loaded = LoadedModel(name, model)
    config = adapt_config_to_model(loaded, make_config("swap-nops5"), "swap-nops5")
    return config.layout, config.answer_width, row_width(loaded, config)


@pytest.mark.parametrize("name", ["swap-delta", "zoo-gru", "zoo-llama", "zoo-mamba2", "zoo-bert"])
def test_a_checkpoint_of_any_architecture_is_evaluated_in_the_format_of_its_training(
    name, tmp_path
):
    model = build_model(replace(find_recipe(name), data="default-spaced"))
    model.save_pretrained(tmp_path)
    loaded = open_model(str(tmp_path))
    assert type(loaded.model) is type(model)
    assert not loaded.model.training
    assert same(model, loaded.model)
    assert loaded.trained_on is None
    width = make_config("swap-nops5", layout="spaced").row_width
    assert formats(loaded.model) == ("spaced", 5, width)
    ids = VscPipeline(loaded.model, device="cpu").preprocess("YNP:3>1")["input_ids"][0]
    assert bytes(ids.tolist()) == b"YNP: 3>1: " + bytes(5)


def test_a_run_nearby_says_nothing_of_a_model_of_the_hub(tmp_path, monkeypatch):
    run = {"recipe": {"data": "swap-nops5"}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "seed-0" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def find_none(*_):
        raise EntryNotFoundError("no such file")

    monkeypatch.setattr(model_loading, "hf_hub_download", find_none)
    monkeypatch.setattr(model_loading, "load_model", lambda *_: torch.nn.Identity())
    assert open_model("owner/name").trained_on is None
    assert open_model("seed-0/model").trained_on == "swap-nops5"


def test_a_model_from_a_file_is_evaluated_in_the_format_of_its_training(tmp_path):
    recipe = replace(find_recipe("swap-delta"), data="default-spaced", model_args={})
    build_model(replace(recipe, model=f"{FILE}:make_model")).save_pretrained(tmp_path)
    model = load_model(tmp_path, trust_remote_code=True)
    assert formats(model)[:2] == ("spaced", 5)
    made_by = json.loads((tmp_path / "made_by.json").read_text())
    del made_by["evaluation_format"]  # as an earlier version wrote it
    (tmp_path / "made_by.json").write_text(json.dumps(made_by))
    assert formats(load_model(tmp_path, trust_remote_code=True))[0] == "compact"


def test_a_model_without_a_padding_mask_keeps_the_row_width_of_its_training(tmp_path):
    recipe = replace(find_recipe("swap-delta"), model_args={"mask_padding": False})
    build_model(recipe).save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert formats(model) == ("compact", 5, recipe.config.row_width)
    assert row_width(LoadedModel("m", model), make_config("swap-nops2")) == recipe.config.row_width
    model.config.row_width = None
    with pytest.raises(ValueError, match="has no padding mask"):
        formats(model)
    trained_on = LoadedModel("run", model, "swap-nops1-5")
    assert row_width(trained_on, make_config("swap-nops2")) == recipe.config.row_width


def test_the_longest_row_is_kept_and_a_checkpoint_that_is_trained_on_takes_the_new_format(tmp_path):
    sizes = {"n_positions": 64, "n_embd": 8, "n_layer": 1, "n_head": 1}
    recipe = replace(find_recipe("swap-delta"), model="gpt2", model_args=sizes)
    build_model(recipe).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["longest_row"] == 64
    again = build_model(replace(recipe, model=str(tmp_path), model_args={}, data="default-spaced"))
    assert format_of(again) == ("spaced", 5, None, 64, "fill")


@pytest.mark.parametrize(
    "changes, words",
    [({"longest_row": "x"}, "longest_row is 'x' in the model's config"), ({"dtype": "zz"}, "zz")],
)
def test_a_damaged_configuration_is_one_clear_line(changes, words, tmp_path):
    build_model(find_recipe("zoo-gpt2")).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ValueError, match=words) as error:
        format_of(load_model(tmp_path))
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_lacks_weights_is_not_filled_with_random_ones(tmp_path):
    model = build_model(find_recipe("zoo-gpt2"))
    whole = {name: x for name, x in model.state_dict().items() if name != "lm_head.weight"}
    model.save_pretrained(tmp_path, state_dict=dict(whole))
    load_model(tmp_path)
    lacking = {name: x for name, x in whole.items() if ".h.1.ln" not in name}
    model.save_pretrained(tmp_path, state_dict=lacking)
    with pytest.raises(
        ValueError, match=r"lacks the tensor transformer\.h\.1\.ln_1\.bias and 3 oth"
    ):
        load_model(tmp_path)
