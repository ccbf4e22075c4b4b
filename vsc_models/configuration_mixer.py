"""Check the configuration of the model around a custom layer."""

from dataclasses import field
from typing import Any

from huggingface_hub.dataclasses import strict

from .configuration_vsc import VscConfig, check_kernel, check_range, map_names

DIRECTIONS = ("forward", "both")
MAX_LAYERS = 1000


@strict
class VscMixerConfig(VscConfig):
    """The scaffold of the delta-rule model, any layer in the place of its delta layer.

    Attributes:
      mixer: the layer's class, a torch.nn.Module: "FILE.py:CLASS" or "package.module:CLASS"; or a
        function of a file that makes the layer, "FILE.py:FUNCTION".
      mixer_args: its arguments by name; numbers, texts, lists and the like, as in JSON. The
        hidden size is added under the names that the layer has for it, see `make_layer`.
      mixer_version: "PACKAGE VERSION" of a layer from a package; written when it is first built.
      direction: "forward", or "both": a second layer reads each row from its end, results added.
      num_layers: layers in each direction, one after the other, residual, with a norm between.
      conv_kernel_sizes: bytes that each convolution before the layer sees; odd.
      intermediate_size: width of the pointwise layer after it.
    Raises:
      As for VscConfig.

    >>> VscMixerConfig(mixer="torch.nn:GRU").direction
    'forward'
    >>> VscMixerConfig(mixer="torch.nn:GRU", directions="both")
    Traceback (most recent call last):
    ValueError: VscMixerConfig has no field 'directions': did you mean 'direction'?
    """

    model_type = "vsc_mixer"
    attribute_map = map_names("hidden_size", "intermediate_size", "num_layers")

    mixer: str = "torch.nn:GRU"
    mixer_args: dict[str, Any] = field(default_factory=dict)
    mixer_version: str | None = None
    direction: str = "forward"
    num_layers: int = 1
    conv_kernel_sizes: list[int] | tuple[int, ...] = (5, 5)
    intermediate_size: int = 64

    def validate_mixer(self) -> None:
        """Check the direction, kernels and sizes."""
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction={self.direction!r}: use one of {list(DIRECTIONS)}")
        for size in self.conv_kernel_sizes:
            check_kernel("conv_kernel_sizes", size)
        check_range("intermediate_size", self.intermediate_size, 1)
        check_range("num_layers", self.num_layers, 1, MAX_LAYERS)
