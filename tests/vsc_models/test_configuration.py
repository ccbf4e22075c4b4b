"""Configurations say what is wrong, and let transformers' own keywords pass."""

import pytest
from huggingface_hub.errors import StrictDataclassError

from vsc_models import VscDeltaConfig


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 0}, "hidden_size=0 is out of range: use 1 or more"),
        ({"vocab_size": 257}, "vocab_size=257 is out of range: use from 1 to 256"),
        ({"mask_token_id": 256}, "mask_token_id=256 is out of range: use from 0 to 255"),
        ({"pad_token_id": 300}, "pad_token_id=300 is out of range: use from 0 to 255"),
        ({"pad_token_id": 0}, "pad_token_id=0 is the mask_token_id too: choose another byte"),
        ({"answer_width": 0}, "answer_width=0 is out of range"),
        ({"layout": "wide"}, "layout='wide' is unknown: use 'compact' or 'spaced'"),
        ({"conv_kernel_sizes": [5, 4]}, "conv_kernel_sizes holds 4, .* use 3 or 5"),
        ({"conv_kernel_sizes": [-1]}, "conv_kernel_sizes=-1 is out of range"),
        ({"num_heads": 0}, "num_heads=0"),
        ({"key_dim": 0}, "key_dim=0"),
        ({"value_dim": 0}, "value_dim=0"),
        ({"steps_per_token": 0}, "steps_per_token=0"),
        ({"chunk_size": 0}, "chunk_size=0"),
        ({"intermediate_size": 0}, "intermediate_size=0"),
        ({"hidden_size": "32"}, "hidden_size"),
    ],
)
def test_impossible_values_are_named(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        VscDeltaConfig(**fields)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("hiden_size", "hidden_size"),
        ("num_head", "num_heads"),
        ("key_dims", "key_dim"),
        ("step_per_token", "steps_per_token"),
        ("answer_widht", "answer_width"),
        ("mask_paddings", "mask_padding"),
        ("conv_kernel_size", "conv_kernel_sizes"),
    ],
)
def test_near_misses_are_refused_with_the_right_name(typed, meant):
    with pytest.raises(ValueError, match=f"no field '{typed}': did you mean '{meant}'"):
        VscDeltaConfig(**{typed: 1})


def test_keywords_of_transformers_pass():
    theirs = {
        "attn_implementation": "eager",
        "name_or_path": "folder",
        "auto_map": {"AutoConfig": "configuration_vsc.VscDeltaConfig"},
        "_commit_hash": None,
        "bos_token_id": None,
        "eos_token_id": None,
        "tie_encoder_decoder": False,
        "num_labels": 2,
        "torch_dtype": "float32",
        "use_cache": False,
        "something_of_next_year": 1,
    }
    assert VscDeltaConfig(**theirs).something_of_next_year == 1


def test_configuration_survives_saving(tmp_path):
    config = VscDeltaConfig(hidden_size=24, answer_width=5, layout="spaced", num_heads=3)
    config.save_pretrained(tmp_path)
    loaded = VscDeltaConfig.from_pretrained(tmp_path)
    for name in ("hidden_size", "answer_width", "layout", "num_heads"):
        assert getattr(loaded, name) == getattr(config, name)
    assert list(loaded.conv_kernel_sizes) == list(config.conv_kernel_sizes)
