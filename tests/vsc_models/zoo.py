"""Every model by name, small or as it comes, for the tests that hold for all of them."""

import torch

import vsc_models as vsc

MODELS = {
    "conv": (vsc.VscConvForMaskedLM, vsc.VscConvConfig, {}),
    "attention": (
        vsc.VscConvForMaskedLM,
        vsc.VscConvConfig,
        {"num_layers": 3, "dilation": [2, 3, 1], "attention_heads": [0, 4, 2]},
    ),
    "lstm": (vsc.VscLstmForMaskedLM, vsc.VscLstmConfig, {"num_layers": 3}),
    "mamba": (vsc.VscMambaForMaskedLM, vsc.VscMambaConfig, {"num_layers": 3}),
    "mixer": (vsc.VscMixerForMaskedLM, vsc.VscMixerConfig, {"direction": "both"}),
    "delta": (vsc.VscDeltaForMaskedLM, vsc.VscDeltaConfig, {}),
    "counting delta": (
        vsc.VscDeltaForMaskedLM,
        vsc.VscDeltaConfig,
        {"num_counters": 3, "beta_clip_margin": 0.05},
    ),
}


def model_of(name, seed=0, **fields):
    """The named model in evaluation mode."""
    model_class, config_class, usual = MODELS[name]
    torch.manual_seed(seed)
    return model_class(config_class(**usual, **fields)).eval()
