"""Every model by name, small, for the tests that hold for all of them."""

import torch

import vsc_models as vsc

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
    "mixer": (vsc.VscMixerForMaskedLM, vsc.VscMixerConfig, {"direction": "both"}),
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
        {**COUNTING, "causal": True, "num_householder": 2, "allow_neg_eigval": False},
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
