"""Compute hidden states from tokens, around a layer that a subclass names."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from .configuration_vsc import COLONS
from .dilated_conv import make_conv
from .modeling_vsc import VscBackbone, take_positions


class VscConvolution(nn.Module):
    """A norm and a convolution, (B, L, D) in and out."""

    def __init__(self, size: int, kernel: int, causal: bool) -> None:
        super().__init__()
        # Without scale and shift: the convolution after it has both.
        self.norm = nn.LayerNorm(size, elementwise_affine=False)
        self.conv = make_conv(size, size, kernel, causal=causal)

    def forward(self, x_BxLxD: Tensor, mask_BxL: Tensor | None) -> Tensor:
        """Convolve; where `mask_BxL` is False a token looks like the edge of the row."""
        x_BxLxD = self.norm(x_BxLxD)
        if mask_BxL is not None:
            x_BxLxD = x_BxLxD * mask_BxL.unsqueeze(-1)
        return gelu(self.conv(x_BxLxD.mT)).mT


class VscPlaces(nn.Module):
    """Embeddings of each token's place in its field, counted from the last colon."""

    def __init__(self, num_places: int, size: int, colon: int) -> None:
        super().__init__()
        self.colon = colon
        self.embed = nn.Embedding(num_places, size)

    def forward(self, ids_BxL: Tensor, mask_BxL: Tensor | None) -> Tensor:
        """Embed the places: (B, L) -> (B, L, D); where `mask_BxL` is False there is no field."""
        ends_BxL = ids_BxL == self.colon
        if mask_BxL is not None:
            ends_BxL = ends_BxL | ~mask_BxL
        index_L = torch.arange(ids_BxL.shape[1], device=ids_BxL.device)
        end_BxL = torch.where(ends_BxL, index_L, -1).cummax(1).values
        out_BxLxD: Tensor = self.embed((index_L - end_BxL).clamp(max=len(self.embed.weight) - 1))
        return out_BxLxD


class VscScaffold(VscBackbone):
    """Convolutions, one layer that mixes the tokens, one pointwise layer, all residual.

    The convolutions tell each letter its position and each operation its arguments; the pointwise
    layer cleans up what the mixing layer gives.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.places = (
            VscPlaces(config.num_places, size, COLONS[config.layout]) if config.num_places else None
        )
        self.convolutions = nn.ModuleList(
            VscConvolution(size, kernel, config.causal) for kernel in config.conv_kernel_sizes
        )
        self.mixer_norm = nn.LayerNorm(size)
        self.mixer: Any = self.make_mixer(config)
        self.pointwise_norm = nn.LayerNorm(size)
        self.pointwise = nn.Sequential(
            nn.Linear(size, config.intermediate_size),
            nn.GELU(),
            nn.Linear(config.intermediate_size, size),
        )
        self.norm = nn.LayerNorm(size)

    @abstractmethod
    def make_mixer(self, config: Any) -> nn.Module:
        """Build the layer, or several."""

    def mix(
        self,
        x_BxLxD: Tensor,
        embeds_BxLxD: Tensor,
        mask_BxL: Tensor | None,
        positions_BxW: Tensor | None,
    ) -> Tensor:
        """Run the layer and take the wanted positions: (B, L, D) -> (B, W, D).

        `embeds_BxLxD` are the embeddings before any convolution: tokens without their neighbors.
        """
        out_BxWxD: Tensor = self.mixer(x_BxLxD, embeds_BxLxD, mask_BxL, positions_BxW)
        return out_BxWxD

    def forward(
        self, ids_BxL: Tensor, mask_BxL: Tensor | None, positions_BxW: Tensor | None
    ) -> Tensor:
        """As VscBackbone.forward."""
        x_BxLxD = embeds_BxLxD = self.embed_tokens(ids_BxL)
        if self.places is not None:
            x_BxLxD = x_BxLxD + self.places(ids_BxL, mask_BxL)
        for convolution in self.convolutions:
            x_BxLxD = x_BxLxD + convolution(x_BxLxD, mask_BxL)
        mixed_BxWxD = self.mix(self.mixer_norm(x_BxLxD), embeds_BxLxD, mask_BxL, positions_BxW)
        x_BxWxD = take_positions(x_BxLxD, positions_BxW) + mixed_BxWxD
        x_BxWxD = x_BxWxD + self.pointwise(self.pointwise_norm(x_BxWxD))
        out_BxWxD: Tensor = self.norm(x_BxWxD)
        return out_BxWxD
