"""A folder's model comes back as it was, whoever made it; its code runs only on request."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from scripts.core.batches import logits_of
from scripts.core.model_loading import head_of, load_model, make_file_model
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from tests.vsc_models import own_layers

FILE = own_layers.__file__
IDS = {"input_ids": torch.tensor([list(b"NPF:1>2:" + bytes(3))])}


def same(first, second):
    with torch.no_grad():
        return torch.equal(logits_of(first.eval(), IDS), logits_of(second, IDS))


@pytest.mark.parametrize("name", ["swap-delta", "zoo-gru", "zoo-bert", "zoo-llama", "zoo-mamba2"])
def test_a_checkpoint_gives_the_same_logits(name, tmp_path):
    model = build_model(find_recipe(name))
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert type(loaded) is type(model)
    assert not loaded.training
    assert same(model, loaded)


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


@pytest.mark.parametrize("fault", ["shape", "missing", "torn"])
def test_weights_that_do_not_fit_are_one_clear_line(fault, tmp_path):
    make_file_model(f"{FILE}:make_model", {"width": 8}).save_pretrained(tmp_path)
    if fault == "torn":
        with (tmp_path / "model.safetensors").open("r+b") as file:
            file.truncate(3000)
    else:
        made_by = json.loads((tmp_path / "made_by.json").read_text())
        made_by["arguments"] = {"width": 9} if fault == "shape" else {"width": 8, "deep": True}
        (tmp_path / "made_by.json").write_text(json.dumps(made_by))
    with pytest.raises(ValueError) as error:
        load_model(tmp_path, trust_remote_code=True)
    assert "\n" not in str(error.value)
    words = "raised TypeError" if fault == "missing" else "does not fit its model"
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"made_by": "a", "arguments": 3}'])
def test_a_file_that_does_not_say_how_the_model_is_made_is_one_clear_line(text, tmp_path):
    make_file_model(f"{FILE}:make_model", {"width": 8}).save_pretrained(tmp_path)
    (tmp_path / "made_by.json").write_text(text)
    with pytest.raises(ValueError, match=r"made_by\.json does not say how") as error:
        load_model(tmp_path, trust_remote_code=True)
    assert "\n" not in str(error.value)


def test_a_model_without_a_head_for_bytes_is_refused(tmp_path):
    AutoConfig.for_model("vit").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'vit' has no masked or causal language-modelling head"):
        load_model(tmp_path)


def test_a_masked_head_comes_before_a_causal_one():
    assert head_of(AutoConfig.for_model("bert")).__name__ == "AutoModelForMaskedLM"
    assert head_of(AutoConfig.for_model("llama")) is AutoModelForCausalLM
