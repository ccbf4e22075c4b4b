"""Every model by name, small, for the tests that hold for all of them; and models of others."""

import torch
from transformers import AutoConfig

import vsc_models as vsc
from scripts.core.model_loading import head_of

CONV = {"hidden_size": 32, "num_layers": 2, "kernel_size": 5, "dilation": [2, 3]}
COUNTING = {"num_counters": 3, "beta_clip_margin": 0.05}

MODELS = {
    "conv": (vsc.VscConvForMaskedLM, vsc.VscConvConfig, CONV),
    "attention": (
        vsc.VscConvForMaskedLM,
        vsc.VscConvConfig,
        {**CONV, "num_layers": 3, "dilation": [2, 3, 1], "attention_heads": [0, 4, 2]},
    ),
    "lstm": (vsc.VscLstmForMaskedLM, vsc.VscLstmConfig, {"hidden_size": 32, "num_layers": 2}),
    "mamba": (vsc.VscMambaForMaskedLM, vsc.VscMambaConfig, {"num_layers": 2}),
    "mixer": (vsc.VscMixerForMaskedLM, vsc.VscMixerConfig, {"direction": "both", "num_places": 9}),
    "delta": (vsc.VscDeltaForMaskedLM, vsc.VscDeltaConfig, {}),
    "counting delta": (vsc.VscDeltaForMaskedLM, vsc.VscDeltaConfig, COUNTING),
    "causal attention": (
        vsc.VscConvForMaskedLM,
        vsc.VscConvConfig,
        {**CONV, "kernel_size": 4, "attention_heads": [0, 4], "causal": True},
    ),
    "causal mixer": (vsc.VscMixerForMaskedLM, vsc.VscMixerConfig, {"causal": True}),
    "causal delta": (
        vsc.VscDeltaForMaskedLM,
        vsc.VscDeltaConfig,
        {
            **COUNTING,
            "causal": True,
            "num_householder": 2,
            "allow_neg_eigval": False,
            "num_places": 9,
        },
    ),
}

ONE_OF_EACH = ("attention", "lstm", "mamba", "mixer", "counting delta")
"""One for each class, for tests that are about the class."""

CAUSAL = ("lstm", "mamba", "causal attention", "causal mixer", "causal delta")


def model_of(name, seed=0, **fields):
    """The named model in evaluation mode."""
    model_class, config_class, usual = MODELS[name]
    torch.manual_seed(seed)
    return model_class(config_class(**{**usual, **fields})).eval()


def moved_model(name, seed=3, **fields):
    """The named model, every weight of it moved from its initial value: its answers are noise."""
    model = model_of(name, seed, **fields)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) / 5)
    return model


OTHER_SIZES = {
    "vocab_size": 256, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 64, "use_cache": False,
    **{f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")},
}  # fmt: skip


def other_model(model_type, **fields):
    """A small model of transformers, its next-token head if it has no masked one."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **{**OTHER_SIZES, **fields})
    return head_of(config).from_config(config).eval()
