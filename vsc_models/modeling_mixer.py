"""Compute logits from tokens with a masked answer field, by a custom layer."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from transformers import PreTrainedConfig
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file, get_checkpoint_shard_files

from .configuration_vsc import VscMixerConfig
from .import_utils import (
    find_source,
    is_file,
    is_library,
    make_layer,
    package_version,
    split_target,
)
from .modeling_scaffold import VscScaffold
from .modeling_vsc import (
    VscForMaskedLM,
    check_tensors,
    move_padding_last,
    readable,
    take_positions,
)

LAYER_FILE = "mixer_layer.py"
"""What a checkpoint calls the file of its layer."""

_HUB = (
    "cache_dir",
    "force_download",
    "local_files_only",
    "proxies",
    "revision",
    "subfolder",
    "token",
)

logger = logging.getLogger(__name__)


class VscMixerModel(VscScaffold):
    """The scaffold around a custom layer, or several: a stack, or two that read in both directions.

    The layer gets every row as (B, L, D) without its padding, zeros after it, so a
    layer that runs left to right never meets padding. One that looks ahead sees those zeros.
    """

    def make_mixer(self, config: VscMixerConfig) -> nn.Module:
        """Build the layers of the forward direction, then those of the other one."""
        self.num_layers = config.num_layers
        layers = nn.ModuleList(
            make_layer(config.mixer, config.mixer_args, config.hidden_size, number)
            for _ in range(1 + (config.direction == "both"))
            for number in range(config.num_layers)
        )
        for layer in layers:
            for module in layer.modules():
                module._is_hf_initialized = True  # type: ignore[assignment]  # by itself
        return layers

    def mix(
        self,
        x_BxLxD: Tensor,
        embeds_BxLxD: Tensor,
        mask_BxL: Tensor | None,
        positions_BxW: Tensor | None,
    ) -> Tensor:
        """As VscScaffold.mix: every layer runs over all tokens but padding."""
        if mask_BxL is not None:
            x_BxLxD = x_BxLxD * mask_BxL.unsqueeze(-1)
            if not _padding_is_last(mask_BxL):
                x_BxLxD, mask_BxL, positions_BxW = move_padding_last(
                    x_BxLxD, mask_BxL, positions_BxW
                )
        forward, backward = self.mixer[: self.num_layers], self.mixer[self.num_layers :]
        out_BxLxD = _run_stack(forward, x_BxLxD, mask_BxL)
        if len(backward):
            back_BxL = _reverse(x_BxLxD, mask_BxL)
            reversed_BxLxD = take_positions(x_BxLxD, back_BxL)
            back_BxLxD = _run_stack(backward, reversed_BxLxD, mask_BxL)
            out_BxLxD = out_BxLxD + take_positions(back_BxLxD, back_BxL)
        return take_positions(out_BxLxD, positions_BxW)


def _run_stack(layers: Iterable[nn.Module], x_BxLxD: Tensor, mask_BxL: Tensor | None) -> Tensor:
    """Run layers one after the other, (B, L, D): each adds to what those before it gave."""
    first, *others = layers
    out_BxLxD = _run(first, x_BxLxD)
    for layer in others:
        normed_BxLxD = layer_norm(x_BxLxD + out_BxLxD, x_BxLxD.shape[-1:])
        if mask_BxL is not None:
            normed_BxLxD = normed_BxLxD * mask_BxL.unsqueeze(-1)
        out_BxLxD = out_BxLxD + _run(layer, normed_BxLxD)
    return out_BxLxD


def _run(layer: nn.Module, x_BxLxD: Tensor) -> Tensor:
    """Run a layer, (B, L, D); of a tuple take the first member."""
    out = layer(x_BxLxD)
    first = out[0] if isinstance(out, tuple | list) and out else out
    if not isinstance(first, Tensor):
        raise ValueError(
            f"{type(layer).__name__} gives a {type(out).__name__}: a mixer gives a tensor, or a "
            "tuple that begins with it"
        )
    out_BxLxD: Tensor = first
    if out_BxLxD.shape != x_BxLxD.shape:
        raise ValueError(
            f"{type(layer).__name__} gives shape {tuple(out_BxLxD.shape)} for "
            f"{tuple(x_BxLxD.shape)}: a mixer keeps the shape (batch, length, hidden_size)"
        )
    if out_BxLxD.dtype not in (torch.float32, x_BxLxD.dtype, torch.bfloat16, torch.float16):
        raise ValueError(
            f"{type(layer).__name__} gives {out_BxLxD.dtype} for {x_BxLxD.dtype}: a mixer keeps it"
        )
    return out_BxLxD


class VscMixerForMaskedLM(VscForMaskedLM):
    """A custom layer under the tied output layer; `forward` as in VscForMaskedLM.

    Raises:
      ValueError: the layer is not found, cannot be built, or changes the shape; see `make_layer`.

    >>> VscMixerForMaskedLM(VscMixerConfig(mixer="torch.nn:GRU")).config.mixer_version.split()[0]
    'torch'
    """

    config_class = VscMixerConfig
    backbone_class = VscMixerModel

    def __init__(self, config: VscMixerConfig) -> None:
        super().__init__(config)
        # As it was when it was built: the file may change while the model is trained.
        self.layer_code = find_source(config.mixer)
        here = package_version(config.mixer)
        if config.mixer_version not in (None, here):
            logger.warning(f"{config.mixer} was of {config.mixer_version}, here it is of {here}")
        config.mixer_version = config.mixer_version or here

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Write the checkpoint and, next to it, the layer's file.

        The weights keep the names of the layer's parameters, whatever its `state_dict` says.

        Raises:
          ValueError: with push_to_hub=True, which would leave the layer's file out.
        """
        if kwargs.get("push_to_hub"):
            raise ValueError("the layer's file would be missing: use model.push_to_hub(repo_id)")
        if kwargs.get("state_dict") is None:
            # Copies, because transformers drops a tensor that a layer has under two names.
            kwargs["state_dict"] = {
                name: tensor.detach().clone() if ".mixer." in name else tensor
                for name, tensor in saved_tensors(self).items()
            }
        mixer = self.config.mixer
        if self.layer_code is not None:
            self.config.mixer = f"{LAYER_FILE}:{split_target(mixer)[1]}"
        try:
            super().save_pretrained(save_directory, *args, **kwargs)
        finally:
            self.config.mixer = mixer
        if self.layer_code is not None:
            (Path(save_directory) / LAYER_FILE).write_bytes(self.layer_code)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any
    ) -> Any:
        """Build the model in memory and fill in its weights, all of them or none.

        A layer may hold what is not a weight, so it is built as its constructor builds it and not
        without memory, as transformers does. Arguments as of VscPreTrainedModel.from_pretrained;
        pickled weights are never read, and `device_map` is one device.

        Raises:
          ValueError: also where the checkpoint's layer is a file, or is not of the libraries that
            `is_library` knows, and `trust_remote_code` is not set, because that code is run.
        """
        name, hub = pretrained_model_name_or_path, {k: kwargs[k] for k in _HUB if k in kwargs}
        config = kwargs.get("config")
        if isinstance(config, PreTrainedConfig):  # it may be of the checkpoint's own code
            config = cls.config_class.from_dict(config.to_dict())
        else:  # fields of the configuration may be among the arguments
            read = {*_HUB, "config", "trust_remote_code"}
            others = {k: v for k, v in kwargs.items() if k not in read}
            config, _ = cls.config_class.from_pretrained(
                config or name, return_unused_kwargs=True, **hub, **others
            )
        if not (kwargs.get("trust_remote_code") or is_library(config.mixer)):
            source = split_target(config.mixer)[0]
            brings = "brings" if is_file(config.mixer) else "needs"
            raise ValueError(
                f"{name} {brings} the code of its layer, {source}: read it, then load with "
                "trust_remote_code=True"
            )
        where, layer = split_target(config.mixer)
        if where == LAYER_FILE:
            config.mixer = f"{cached_file(name, LAYER_FILE, **hub)}:{layer}"
        config.name_or_path = str(name or "")
        with torch.random.fork_rng(devices=[]):
            model = cls(config).eval()
        dtype = str(kwargs.get("dtype") or kwargs.get("torch_dtype")).removeprefix("torch.")
        weights = kwargs.get("state_dict") or _read_weights(name, hub)
        info = _fill(model, weights, getattr(torch, dtype, None))  # "auto": as they are
        if not kwargs.get("ignore_mismatched_sizes"):
            check_tensors(name, cls.__name__, info)
        if kwargs.get("device_map") not in (None, "auto"):
            model.to(kwargs["device_map"])
        return (model, info) if kwargs.get("output_loading_info") else model


def _read_weights(name: Any, hub: dict[str, Any]) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint's safetensors, of one file or of several."""
    whole, index = (
        cached_file(name, file, _raise_exceptions_for_missing_entries=False, **hub)
        for file in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)
    )
    if whole is None and index is None:
        raise OSError(f"{name}: no file named {SAFE_WEIGHTS_NAME} found")
    with readable(name):
        files = [whole] if whole else get_checkpoint_shard_files(name, index, **hub)[0]
        return {key: tensor for file in files for key, tensor in load_file(file).items()}


def _fill(
    model: nn.Module, weights: Mapping[str, Tensor], dtype: torch.dtype | None
) -> dict[str, set[Any]]:
    """Put the tensors that fit into a model; report the others as transformers does."""
    tensors = saved_tensors(model)
    wrong = {
        (name, weights[name].shape, tensor.shape)
        for name, tensor in tensors.items()
        if name in weights and weights[name].shape != tensor.shape
    }
    for name in (tensors.keys() & weights.keys()) - {name for name, *_ in wrong}:
        cast = dtype if weights[name].is_floating_point() else None
        tensors[name].data = weights[name].to(cast or weights[name].dtype, copy=True)
    # One of several names of a tied tensor is enough.
    loaded = {id(tensors[name]) for name in tensors.keys() & weights.keys()}
    return {
        "missing_keys": {name for name, tensor in tensors.items() if id(tensor) not in loaded},
        "unexpected_keys": set(weights) - tensors.keys(),
        "mismatched_keys": wrong,
    }


def saved_tensors(module: nn.Module, remove_duplicate: bool = False) -> dict[str, Tensor]:
    """Return parameters and the buffers that are saved, under their true names.

    Not `state_dict`, which a custom layer may change. `remove_duplicate` names each parameter once.
    """
    tensors: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=remove_duplicate))
    for prefix, part in module.named_modules():
        for name, buffer in part.named_buffers(prefix, recurse=False):
            if name.rpartition(".")[2] not in part._non_persistent_buffers_set:
                tensors[name] = buffer
    return tensors


def _padding_is_last(mask_BxL: Tensor) -> bool:
    """Return whether padding is known to come last; a GPU is not made to wait for the answer."""
    if mask_BxL.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not bool((mask_BxL[:, 1:] > mask_BxL[:, :-1]).any())


def _reverse(x_BxLxD: Tensor, mask_BxL: Tensor | None) -> Tensor:
    """Return positions (B, L) that reverse each row and leave the padding after it."""
    batch, length, _ = x_BxLxD.shape
    position_L = torch.arange(length, device=x_BxLxD.device)
    if mask_BxL is None:
        return position_L.flip(0).expand(batch, length)
    reversed_BxL = mask_BxL.sum(1, keepdim=True) - 1 - position_L
    return torch.where(reversed_BxL < 0, position_L, reversed_BxL)
