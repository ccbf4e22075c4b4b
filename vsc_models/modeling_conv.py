"""Bytes with a masked answer field -> logits, by residual dilated convolutions and attention.

Inside, channels stand before positions, (B, D, L), as convolutions want them.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, gelu, scaled_dot_product_attention

from .configuration_vsc import VscConvConfig
from .modeling_vsc import VscBackbone, VscForMaskedLM, take_positions


class VscConvLayer(nn.Module):
    """Hidden states -> what each byte's neighbourhood adds to them, (B, D, L) both."""

    def __init__(self, size: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(size, size, kernel, padding="same", dilation=dilation)

    def forward(self, x_BxDxL: Tensor, real_Bx1xL: Tensor | None) -> Tensor:
        """Convolve; the caller has set to zero what must not be seen."""
        return gelu(self.conv(x_BxDxL))


class VscAttentionLayer(nn.Module):
    """Hidden states -> what attention adds to them, (B, D, L) both.

    One convolution makes queries, keys and values; the attention projects each once more, as
    nn.MultiheadAttention does with three different inputs.
    """

    def __init__(self, size: int, kernel: int, dilation: int, heads: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(size, 3 * size, kernel, padding="same", dilation=dilation)
        # It holds and initialises the weights; its own forward gives NaN for a row of padding.
        self.attention = nn.MultiheadAttention(size, heads)

    def forward(self, x_BxDxL: Tensor, real_Bx1xL: Tensor | None) -> Tensor:
        """Convolve and attend; where `real_Bx1xL` is False a byte is no key."""
        inner = self.attention
        # Three matrices side by side are one convolution of width 1 in three groups.
        weight = inner.in_proj_weight.unsqueeze(-1)
        qkv = conv1d(self.conv(x_BxDxL), weight, inner.in_proj_bias, groups=3)
        q, k, v = qkv.unflatten(1, (3, inner.num_heads, -1)).mT.unbind(1)
        mask = None if real_Bx1xL is None else real_Bx1xL.unsqueeze(1)
        read_BxHxLxV = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        read_BxLxD: Tensor = inner.out_proj(read_BxHxLxV.transpose(1, 2).flatten(2))
        return gelu(read_BxLxD).mT


class VscConvModel(VscBackbone):
    """Convolution layers, some of them with attention, all residual, without a norm."""

    def __init__(self, config: VscConvConfig) -> None:
        super().__init__(config)
        size, kernel = config.hidden_size, config.kernel_size
        heads = config.attention_heads or [0] * config.num_layers
        self.layers = nn.ModuleList(
            VscAttentionLayer(size, kernel, dilation, count)
            if count
            else VscConvLayer(size, kernel, dilation)
            for dilation, count in zip(config.dilation, heads, strict=True)
        )

    def forward(self, ids_BxL: Tensor, real_BxL: Tensor | None, keep_BxW: Tensor | None) -> Tensor:
        """As VscBackbone.forward."""
        x_BxDxL = self.embed_tokens(ids_BxL).mT
        real_Bx1xL = None if real_BxL is None else real_BxL.unsqueeze(1)
        for layer in self.layers:
            seen_BxDxL = x_BxDxL if real_Bx1xL is None else x_BxDxL * real_Bx1xL
            x_BxDxL = x_BxDxL + layer(seen_BxDxL, real_Bx1xL)
        return take_positions(x_BxDxL.mT, keep_BxW)


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
            # As its own (private) initialisation does.
            nn.init.xavier_uniform_(module.in_proj_weight)
            nn.init.zeros_(module.in_proj_bias)
            nn.init.zeros_(module.out_proj.bias)
