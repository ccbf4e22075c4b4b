"""Compute logits from tokens by residual dilated convolutions and attention.

Inside, positions stand before the batch, (L, B, D), as `dilated_conv` wants them.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from .configuration_vsc import VscConvConfig
from .dilated_conv import dilated_conv, make_conv
from .modeling_vsc import VscBackbone, VscForMaskedLM, take_positions


class VscConvLayer(nn.Module):
    """A dilated convolution, (L, B, D) in and out."""

    def __init__(self, size: int, kernel: int, dilation: int, causal: bool) -> None:
        super().__init__()
        self.conv = make_conv(size, size, kernel, dilation, causal=causal)

    def forward(self, x_LxBxD: Tensor, mask_BxL: Tensor | None) -> Tensor:
        """Convolve; the caller has set to zero what must not be seen."""
        return gelu(dilated_conv(self.conv, x_LxBxD))


class VscAttentionLayer(nn.Module):
    """A convolution and self-attention, (L, B, D) in and out.

    One convolution makes queries, keys and values; the attention projects each once more, as
    nn.MultiheadAttention does with three different inputs.
    """

    def __init__(self, size: int, kernel: int, dilation: int, causal: bool, heads: int) -> None:
        super().__init__()
        self.causal = causal
        self.conv = make_conv(size, 3 * size, kernel, dilation, causal=causal)
        # It holds and initializes the weights; its own forward gives NaN for a row of padding.
        self.attention = nn.MultiheadAttention(size, heads)

    def forward(self, x_LxBxD: Tensor, mask_BxL: Tensor | None) -> Tensor:
        """Convolve and attend; where `mask_BxL` is False a token is not a key."""
        inner = self.attention
        conv_LxBx3D = dilated_conv(self.conv, x_LxBxD)
        weight_3xDxD, bias_3xD = (
            part.unflatten(0, (3, -1)) for part in (inner.in_proj_weight, inner.in_proj_bias)
        )
        in_3xNxD = conv_LxBx3D.unflatten(-1, (3, -1)).permute(2, 0, 1, 3).flatten(1, 2)
        qkv_3xNxD = torch.baddbmm(bias_3xD.unsqueeze(1), in_3xNxD, weight_3xDxD.mT)
        qkv_3xLxBxHxV = qkv_3xNxD.view(3, *x_LxBxD.shape[:2], inner.num_heads, -1)
        q, k, v = qkv_3xLxBxHxV.permute(0, 2, 3, 1, 4)
        mask = None if mask_BxL is None else mask_BxL[:, None, None]
        if self.causal:
            position_L = torch.arange(len(x_LxBxD), device=x_LxBxD.device)
            seen_LxL = position_L <= position_L[:, None]
            mask = seen_LxL if mask is None else seen_LxL & mask
        read_BxHxLxV = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return gelu(inner.out_proj(read_BxHxLxV.permute(2, 0, 1, 3).flatten(2)))


class VscConvModel(VscBackbone):
    """Convolution layers, some of them with attention, all residual, without a norm."""

    def __init__(self, config: VscConvConfig) -> None:
        super().__init__(config)
        size, kernel, causal = config.hidden_size, config.kernel_size, config.causal
        heads = config.attention_heads or [0] * config.num_layers
        self.layers = nn.ModuleList(
            VscAttentionLayer(size, kernel, dilation, causal, count)
            if count
            else VscConvLayer(size, kernel, dilation, causal)
            for dilation, count in zip(config.dilation, heads, strict=True)
        )

    def forward(
        self, ids_BxL: Tensor, mask_BxL: Tensor | None, positions_BxW: Tensor | None
    ) -> Tensor:
        """As VscBackbone.forward."""
        x_LxBxD = self.embed_tokens(ids_BxL.T)
        for layer in self.layers:
            seen_LxBxD = x_LxBxD if mask_BxL is None else x_LxBxD * mask_BxL.T.unsqueeze(-1)
            x_LxBxD = x_LxBxD + layer(seen_LxBxD, mask_BxL)
        return take_positions(x_LxBxD.transpose(0, 1), positions_BxW)


class VscConvForMaskedLM(VscForMaskedLM):
    """The convolutional model with its output layer; `forward` as in VscForMaskedLM.

    Source: the article's models.

    >>> VscConvForMaskedLM(VscConvConfig()).num_parameters()
    237952
    >>> mixed = VscConvConfig(num_layers=2, dilation=[2, 1], attention_heads=[0, 4])
    >>> question = torch.tensor([list(b"NPF:1>2:" + bytes(3) + b"  ")])
    >>> VscConvForMaskedLM(mixed)(input_ids=question).logits.shape
    torch.Size([1, 13, 256])
    """

    config_class = VscConvConfig
    backbone_class = VscConvModel

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.MultiheadAttention):
            # As its own (private) initialization does.
            nn.init.xavier_uniform_(module.in_proj_weight)
            nn.init.zeros_(module.in_proj_bias)
            nn.init.zeros_(module.out_proj.bias)
