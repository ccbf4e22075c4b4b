"""Register our classes with transformers; checkpoints bring their code."""

from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from .configuration_vsc import (
    VscConfig,
    VscConvConfig,
    VscDeltaConfig,
    VscLstmConfig,
    VscMambaConfig,
    VscMixerConfig,
)
from .modeling_conv import VscConvForMaskedLM
from .modeling_delta import VscDeltaForMaskedLM
from .modeling_lstm import VscLstmForMaskedLM
from .modeling_mamba import VscMambaForMaskedLM
from .modeling_mixer import VscMixerForMaskedLM
from .modeling_vsc import VscForMaskedLM
from .pipeline_vsc import register_pipeline

MODELS: dict[type[VscConfig], type[VscForMaskedLM]] = {
    VscConvConfig: VscConvForMaskedLM,
    VscDeltaConfig: VscDeltaForMaskedLM,
    VscLstmConfig: VscLstmForMaskedLM,
    VscMambaConfig: VscMambaForMaskedLM,
    VscMixerConfig: VscMixerForMaskedLM,
}


def register() -> None:
    """Make every model known by its model type; again is harmless.

    `AutoModelForMaskedLM.from_config(VscDeltaConfig())` and `AutoConfig.for_model("vsc_delta")`
    work from then on, `pipeline("vsc", model=folder)` too, and `save_pretrained` writes the code
    next to the weights. `AutoModel` gives the same model, with its output layer.
    """
    for config_class, model_class in MODELS.items():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        for auto_class in (AutoModel, AutoModelForMaskedLM):
            auto_class.register(config_class, model_class, exist_ok=True)
        config_class.register_for_auto_class()
        model_class.register_for_auto_class("AutoModelForMaskedLM")
    register_pipeline()
