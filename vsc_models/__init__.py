"""Make the VSC models known to transformers' Auto classes.

Without torch or transformers the import succeeds too; touching a name then says what to install.
"""

from typing import NoReturn

__all__ = [
    "VscConfig",
    "VscConvConfig",
    "VscConvForMaskedLM",
    "VscDeltaConfig",
    "VscDeltaForMaskedLM",
    "VscForMaskedLM",
    "VscLstmConfig",
    "VscLstmForMaskedLM",
    "VscMambaConfig",
    "VscMambaForMaskedLM",
    "VscMixerConfig",
    "VscMixerForMaskedLM",
    "VscPipeline",
    "make_tokenizer",
]

try:
    import torch  # noqa: F401  first, or the configurations alone would be there without it

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
    from .pipeline_vsc import VscPipeline
    from .registration import register
    from .tokenization_vsc import make_tokenizer
except ModuleNotFoundError as error:
    if error.name not in ("torch", "transformers", "huggingface_hub"):
        raise
    _missing = error.name

    def __getattr__(name: str) -> NoReturn:
        if name in __all__:
            raise ImportError(
                f"vsc_models.{name} needs {_missing}, which is not installed: "
                "pip install -e '.[models]' in a clone of this package, or 'WHEEL[models]'"
            )
        raise AttributeError(f"module 'vsc_models' has no attribute {name!r}")
else:
    register()
