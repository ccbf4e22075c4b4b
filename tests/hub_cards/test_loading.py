"""The demo's checkpoints: found, loaded without their code, and evaluated."""

import json
from pathlib import Path

import pytest
import torch

from hub_cards.space.demo.loading import load, load_all, trained_on
from scripts.core.inference import predict
from tests.hub_cards.bundle import untrained
from tests.planted import MIXER, PLANTED, change_config, plant
from tests.vsc_models.models import other_model
from vsc_dataset import CONFIGS, sample
from vsc_models import VscMixerConfig, VscMixerForMaskedLM


def test_a_loaded_checkpoint_answers_as_its_pipeline(tmp_path):
    pipeline = untrained(tmp_path / "a", seed=3)
    checkpoint = load(str(tmp_path / "a"))
    for question in ("NPFKT:5>4 3>1", "YNP: 3>1, -3"):
        assert checkpoint.answer(question) == pipeline(question)["answer"]
    assert (checkpoint.name, checkpoint.trained) == ("a", None)


def test_the_trained_range_is_that_of_the_run(tmp_path):
    untrained(tmp_path)
    recipe = {"data": "swap-nops2-5"}
    for data_args, nops in ({}, (2, 5)), ({"nops": [1, 8]}, (1, 8)):
        run = {"recipe": {**recipe, "data_args": data_args}}
        (tmp_path / "run.json").write_text(json.dumps(run))
        assert load(str(tmp_path)).trained == nops
    assert trained_on("{}") is None


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "modernbert"])
@pytest.mark.parametrize("data", ["swap-nops5", "default-spaced"])
def test_an_architecture_of_transformers_is_evaluated_as_it_was_trained(tmp_path, model_type, data):
    model = other_model(model_type)
    model.save_pretrained(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"recipe": {"data": data}}))
    examples = sample(CONFIGS[data], "test", range(5))
    checkpoint = load(str(tmp_path))
    answers = [checkpoint.answer(question) for question in examples.questions()]
    assert answers == predict(model, examples).answers
    assert checkpoint.answer_all(examples.questions()) == answers


@pytest.fixture
def two(tmp_path):
    untrained(tmp_path / "a", seed=1)
    untrained(tmp_path / "b")
    return [str(tmp_path / "a"), str(tmp_path / "b"), "org/c"]


def test_a_checkpoint_that_does_not_load_is_told_and_the_others_are_loaded(two):
    Path(two[0], "model.safetensors").unlink()
    checkpoints, faults = load_all(two)
    assert [checkpoint.name for checkpoint in checkpoints] == ["b"]
    assert [fault.split(" is left out")[0] for fault in faults] == ["a", "c"]
    assert not any("\n" in fault for fault in faults)


@pytest.mark.parametrize("field, value", [("num_heads", 0), ("num_heads", "x"), ("layout", "foo")])
def test_a_config_of_impossible_values_takes_no_other_down(two, field, value):
    change_config(two[0], **{field: value})
    checkpoints, faults = load_all(two)
    assert [checkpoint.name for checkpoint in checkpoints] == ["b"]
    assert faults[0].startswith("a is left out, it does not load: ")


def test_a_model_that_lacks_a_padding_mask_is_evaluated_in_rows_as_it_was_trained(tmp_path):
    pipeline = untrained(tmp_path, mask_padding=False)
    (tmp_path / "run.json").write_text(json.dumps({"recipe": {"data": "swap-nops5"}}))
    width = CONFIGS["swap-nops5"].row_width
    assert load(str(tmp_path)).answer("NPF:1>2") == pipeline("NPF:1>2", pad_to=width)["answer"]


@pytest.mark.parametrize("kind", PLANTED)
def test_no_code_of_a_checkpoint_is_run(tmp_path, monkeypatch, kind):
    folder, mark = tmp_path / "planted", tmp_path / "ran"
    VscMixerForMaskedLM(VscMixerConfig(**MIXER)).save_pretrained(folder)
    plant(folder, kind, mark)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    checkpoints, faults = load_all([str(folder)])
    for checkpoint in checkpoints:  # the code is there, and nothing needs it
        assert len(checkpoint.answer("NPF:1>2")) <= 5
    assert len(checkpoints) + len(faults) == 1
    assert not mark.exists()


def test_pickled_weights_are_left_out(tmp_path):
    torch.save(untrained(tmp_path).model.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    checkpoints, (fault,) = load_all([str(tmp_path)])
    assert not checkpoints
    assert "safetensors" in fault


@pytest.mark.parametrize("mixer", ["planted.layer:GRU", "mixer_layer.py:GRU", "torch.py:GRU"])
def test_a_custom_layer_is_left_out_in_one_line(tmp_path, mixer):
    VscMixerForMaskedLM(VscMixerConfig(**MIXER)).save_pretrained(tmp_path)
    change_config(tmp_path, mixer=mixer)
    _, (fault,) = load_all([str(tmp_path)])
    assert f"its custom layer {mixer} would be run" in fault
    assert "only layers from torch, transformers, fla are loaded" in fault


def test_attention_kernels_that_a_config_names_are_not_fetched(tmp_path):
    other_model("llama").save_pretrained(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"recipe": {"data": "swap-nops5"}}))
    change_config(tmp_path, attn_implementation="somebody/kernels")
    checkpoint = load(str(tmp_path))
    assert checkpoint.answer("NPF:1>2") is not None
    assert checkpoint.longest_row == 64
