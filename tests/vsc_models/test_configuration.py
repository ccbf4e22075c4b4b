"""Configurations say what is wrong, and let transformers' own keywords pass."""

import json

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import GenerationConfig, PreTrainedConfig

from vsc_models import VscConvConfig, VscDeltaConfig, VscLstmConfig, VscMambaConfig, VscMixerConfig


def zeros(*names):
    """Sizes that must be one or more."""
    return [({name: 0}, f"{name}=0 is out of range: use 1 or more") for name in names]


IMPOSSIBLE = {
    VscDeltaConfig: [
        *zeros("hidden_size", "answer_width", "num_heads", "key_dim", "value_dim"),
        *zeros("num_householder", "chunk_size", "intermediate_size"),
        ({"hidden_size": "32"}, "hidden_size"),
        ({"initializer_range": 0}, "initializer_range=0 is out of range: use from 1e-06 to"),
        ({"initializer_range": float("nan")}, "initializer_range=nan is out of range"),
        ({"vocab_size": 257}, "vocab_size=257 is out of range: use from 91 to 256"),
        ({"vocab_size": 90}, "vocab_size=90 is out of range"),
        ({"mask_token_id": 1}, "mask_token_id=1 is not what data, .* 'compact': use 0"),
        ({"pad_token_id": 0}, "pad_token_id=0 is not what data, .* 'compact': use 32"),
        ({"pad_token_id": None}, "pad_token_id=None is not .*: use 32"),
        ({"layout": "tokens"}, "vocab_size=256 is out of range: use from 731 to 731"),
        ({"layout": "tokens", "vocab_size": 731}, "pad_token_id=32 is not .* 'tokens': use 1"),
        ({"layout": "wide"}, "layout='wide' is unknown: use 'compact', 'spaced' or 'tokens'"),
        ({"objective": "next"}, "objective='next' is unknown: use 'fill', 'next-token' or 's"),
        ({"objective": "next-token"}, "'next-token' and causal=False: it would see the token"),
        ({"conv_kernel_sizes": [5, 4]}, "conv_kernel_sizes holds 4, .* use 3 or 5, or causal=True"),
        ({"conv_kernel_sizes": [-1]}, "conv_kernel_sizes=-1 is out of range"),
        ({"num_places": -1}, "num_places=-1 is out of range: use 0 or more"),
        ({"num_counters": -1}, "num_counters=-1 is out of range: use 0 or more"),
        ({"beta_clip_margin": 1.5}, "beta_clip_margin=1.5 is out of range: use from 0 to 1"),
        ({"beta_clip_margin": float("nan")}, "beta_clip_margin=nan is out of range"),
        ({"key_dim": 5, "num_counters": 4}, "key_dim=5 is odd, .* use an even key_dim, or num"),
    ],
    VscMixerConfig: [
        ({"direction": "both", "causal": True}, "direction='both' looks ahead: use 'forward'")
    ],
    VscConvConfig: [
        ({"num_layers": 0}, "num_layers=0 is out of range"),
        ({"objective": "scratchpad"}, "'scratchpad' and causal=False: it would see the token"),
        ({"num_layers": 5}, "dilation has 6 entries, num_layers=5: give one per layer"),
        ({"dilation": [1, 2]}, "dilation has 2 entries, num_layers=6: give one per layer"),
        ({"dilation": [1, 2, 3, 4, 5, 0]}, "dilation=0 is out of range"),
        ({"attention_heads": [4]}, "attention_heads has 1 entries, num_layers=6"),
        ({"attention_heads": [0] * 5 + [5]}, "holds 5, which does not divide hidden_size=64"),
        ({"attention_heads": [0] * 5 + [-1]}, "attention_heads=-1 is out of range"),
        ({"kernel_size": 8}, "kernel_size holds 8, .* use 7 or 9, or causal=True"),
    ],
    VscLstmConfig: [({"num_layers": 0}, "num_layers=0 is out of range")],
    VscMambaConfig: [
        ({"num_layers": 0}, "num_layers=0 is out of range"),
        *zeros("state_size", "expand", "conv_kernel", "time_step_rank"),
        ({"time_step_min": 0.0}, "time_step_min=0.0, time_step_max=0.1: use 0 <"),
        ({"time_step_max": 1e-4}, "time_step_min=0.001, time_step_max=0.0001: use 0 <"),
    ],
}


@pytest.mark.parametrize(
    ("config_class", "fields", "message"),
    [(config_class, *case) for config_class, cases in IMPOSSIBLE.items() for case in cases],
)
def test_impossible_values_are_named(config_class, fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        config_class(**fields)


@pytest.mark.parametrize(
    ("config_class", "typed", "meant"),
    [
        (VscDeltaConfig, "hiden_size", "hidden_size"),
        (VscDeltaConfig, "num_head", "num_heads"),
        (VscDeltaConfig, "mask_paddings", "mask_padding"),
        (VscDeltaConfig, "conv_kernel_size", "conv_kernel_sizes"),
        (VscConvConfig, "kernel_sizes", "kernel_size"),
        (VscConvConfig, "attention_head", "attention_heads"),
        (VscLstmConfig, "num_layer", "num_layers"),
        (VscMambaConfig, "expands", "expand"),
    ],
)
def test_near_misses_are_refused_with_the_right_name(config_class, typed, meant):
    with pytest.raises(ValueError, match=f"no field '{typed}': did you mean '{meant}'"):
        config_class(**{typed: 1})


@pytest.mark.parametrize(
    ("config_class", "alias", "field"),
    [
        (VscConvConfig, "num_hidden_layers", "num_layers"),
        (VscLstmConfig, "n_layers", "num_layers"),
        (VscMambaConfig, "n_layer", "num_layers"),
        (VscMambaConfig, "d_state", "state_size"),
        (VscMambaConfig, "d_model", "hidden_size"),
        (VscDeltaConfig, "n_embd", "hidden_size"),
        (VscDeltaConfig, "num_attention_heads", "num_heads"),
        (VscDeltaConfig, "d_ff", "intermediate_size"),
        (VscDeltaConfig, "steps_per_token", "num_householder"),
        (VscDeltaConfig, "beta_stretch", "beta_clip_margin"),
        (VscMixerConfig, "d_model", "hidden_size"),
    ],
)
def test_names_of_other_models_and_of_earlier_versions_are_taken_and_written_as_ours(
    config_class, alias, field, tmp_path
):
    sizes = {"dilation": [1]} if config_class is VscConvConfig else {}
    config = config_class(**{alias: 1}, **sizes)
    assert getattr(config, field) == getattr(config, alias) == 1
    config.save_pretrained(tmp_path)
    kept = json.loads((tmp_path / "config.json").read_text())
    assert kept[field] == 1
    assert alias not in kept
    (tmp_path / "config.json").write_text(json.dumps({**kept, alias: kept.pop(field)}))
    assert getattr(config_class.from_pretrained(tmp_path), field) == 1
    with pytest.raises(StrictDataclassError, match=f"{field}=-1"):
        config_class(**{alias: -1}, **sizes)


def test_heads_of_a_convolution_go_by_other_names_too():
    heads = {"num_layers": 2, "dilation": [1, 1], "num_attention_heads": [0, 4]}
    assert VscConvConfig(**heads).attention_heads == [0, 4]


@pytest.mark.parametrize(
    ("config_class", "name"),
    [(VscDeltaConfig, "num_layers"), (VscDeltaConfig, "n_layer"), (VscLstmConfig, "d_state")],
)
def test_a_size_that_a_model_does_not_have_is_refused_with_its_fields(config_class, name):
    with pytest.raises(ValueError, match=f"no field '{name}' and none like it: use .*hidden_size"):
        config_class(**{name: 4})


@pytest.mark.parametrize(
    "config_class", [VscConvConfig, VscDeltaConfig, VscLstmConfig, VscMambaConfig]
)
def test_no_keyword_of_transformers_is_taken_for_one_of_ours(config_class):
    ours = config_class().to_dict()
    theirs = {**GenerationConfig().to_dict(), **PreTrainedConfig().to_dict()}
    for name in theirs.keys() - ours.keys():
        config_class(**{name: None})


def test_a_configuration_with_keywords_of_transformers_survives_saving(tmp_path):
    theirs = {"name_or_path": "folder", "_commit_hash": None, "something_of_next_year": 1}
    theirs |= {"attn_implementation": "eager", "torch_dtype": "float32", "num_labels": 2}
    config = VscDeltaConfig(hidden_size=24, answer_width=5, layout="spaced", **theirs)
    config.save_pretrained(tmp_path)
    loaded = VscDeltaConfig.from_pretrained(tmp_path)
    for name in ("hidden_size", "answer_width", "layout", "something_of_next_year"):
        assert getattr(loaded, name) == getattr(config, name)
    assert list(loaded.conv_kernel_sizes) == list(config.conv_kernel_sizes)


def test_a_configuration_from_before_a_field_has_its_default():
    newer = {"num_counters": 0, "beta_clip_margin": 0.0, "causal": False, "num_places": 0}
    newer |= {"allow_neg_eigval": True, "objective": "fill"}
    given = {k: v for k, v in VscDeltaConfig().to_dict().items() if k not in newer}
    loaded = VscDeltaConfig.from_dict(given)
    assert {name: getattr(loaded, name) for name in newer} == newer


def test_a_causal_kernel_may_be_even():
    assert VscDeltaConfig(conv_kernel_sizes=[4], causal=True).causal
