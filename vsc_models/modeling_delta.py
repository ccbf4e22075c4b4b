"""Bytes with a masked answer field -> logits, by a delta-rule memory."""

from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from .configuration_vsc import VscDeltaConfig
from .delta_rule import delta_rule
from .modeling_vsc import VscBackbone, VscForMaskedLM, take_positions

# An exchange needs beta 2, a byte without effect beta 0, and a steep sigmoid comes closer to both:
# of 20 `swap-delta` trainings 3 erred at all at 20 exchanges (2,000 questions); with slope 1, 8.
_BETA_SLOPE = 4.0


class VscConvolution(nn.Module):
    """Hidden states -> what each byte's neighbourhood adds to them, (B, L, D) both."""

    def __init__(self, size: int, kernel: int) -> None:
        super().__init__()
        # Without scale and shift: the convolution behind it has both.
        self.norm = nn.LayerNorm(size, elementwise_affine=False)
        self.conv = nn.Conv1d(size, size, kernel, padding="same")

    def forward(self, x_BxLxD: Tensor, real_BxL: Tensor | None) -> Tensor:
        """Convolve; where `real_BxL` is False a byte looks like the edge of the row."""
        x_BxLxD = self.norm(x_BxLxD)
        if real_BxL is not None:
            x_BxLxD = x_BxLxD * real_BxL.unsqueeze(-1)
        return gelu(self.conv(x_BxLxD.mT)).mT


class VscDeltaLayer(nn.Module):
    """Hidden states -> what a delta-rule memory holds behind the wanted positions."""

    def __init__(self, config: VscDeltaConfig) -> None:
        super().__init__()
        self.config = config
        self.sizes = [config.key_dim, config.value_dim, 1]
        heads, rows = config.num_heads, config.num_heads * config.steps_per_token
        self.query = nn.Linear(config.hidden_size, heads * config.key_dim)
        # One product for keys, values and betas: at this size each call costs more than its sums.
        self.update = nn.Linear(config.hidden_size, rows * sum(self.sizes))
        self.out = nn.Linear(heads * config.value_dim, config.hidden_size)

    def forward(self, x_BxLxD: Tensor, real_BxL: Tensor | None, keep_BxW: Tensor | None) -> Tensor:
        """Update at every byte, read at the wanted ones: (B, L, D) -> (B, W, D)."""
        batch, length, _ = x_BxLxD.shape
        heads, steps = self.config.num_heads, self.config.steps_per_token
        update = self.update(x_BxLxD).view(batch, length * steps, heads, sum(self.sizes))
        k, v, b = update.transpose(1, 2).split(self.sizes, dim=-1)
        b_BxHxT = 2 * (_BETA_SLOPE * b.squeeze(-1)).sigmoid()
        if real_BxL is not None:
            b_BxHxT = b_BxHxT * real_BxL.repeat_interleave(steps, dim=1).unsqueeze(1)
        q = self.query(take_positions(x_BxLxD, keep_BxW)).unflatten(-1, (heads, -1))
        read_BxHxWxV = delta_rule(
            normalize(q.transpose(1, 2), dim=-1),
            normalize(k, dim=-1),
            v,
            b_BxHxT,
            positions=keep_BxW,
            steps_per_token=steps,
            chunk_size=self.config.chunk_size,
        )
        out_BxWxD: Tensor = self.out(read_BxHxWxV.transpose(1, 2).flatten(2))
        return out_BxWxD


class VscDeltaModel(VscBackbone):
    """Convolutions, one delta layer, one pointwise layer, all residual.

    The convolutions tell each letter its position and each operation its arguments; the memory
    holds one letter per key; the pointwise layer cleans up what it reads.
    """

    def __init__(self, config: VscDeltaConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.convolutions = nn.ModuleList(
            VscConvolution(size, kernel) for kernel in config.conv_kernel_sizes
        )
        self.delta_norm = nn.LayerNorm(size)
        self.delta = VscDeltaLayer(config)
        self.pointwise_norm = nn.LayerNorm(size)
        self.pointwise = nn.Sequential(
            nn.Linear(size, config.intermediate_size),
            nn.GELU(),
            nn.Linear(config.intermediate_size, size),
        )
        self.norm = nn.LayerNorm(size)

    def forward(self, ids_BxL: Tensor, real_BxL: Tensor | None, keep_BxW: Tensor | None) -> Tensor:
        """As VscBackbone.forward."""
        x_BxLxD = self.embed_tokens(ids_BxL)
        for convolution in self.convolutions:
            x_BxLxD = x_BxLxD + convolution(x_BxLxD, real_BxL)
        read_BxWxD = self.delta(self.delta_norm(x_BxLxD), real_BxL, keep_BxW)
        x_BxWxD = take_positions(x_BxLxD, keep_BxW) + read_BxWxD
        x_BxWxD = x_BxWxD + self.pointwise(self.pointwise_norm(x_BxWxD))
        out_BxWxD: Tensor = self.norm(x_BxWxD)
        return out_BxWxD


class VscDeltaForMaskedLM(VscForMaskedLM):
    """The delta-rule model with its output layer; `forward` as in VscForMaskedLM.

    >>> import torch
    >>> model = VscDeltaForMaskedLM(VscDeltaConfig(hidden_size=16))
    >>> question = torch.tensor([list(b"NPF:1>2:" + bytes(3) + b"  ")])
    >>> model(input_ids=question).logits.shape
    torch.Size([1, 13, 256])
    >>> model(input_ids=question, logits_to_keep=torch.tensor([[8, 9, 10]])).logits.shape
    torch.Size([1, 3, 256])
    """

    config_class = VscDeltaConfig
    backbone_class = VscDeltaModel
