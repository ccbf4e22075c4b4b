"""Layers that others are compared with: (B, L, D) to the same, as a mixer of `vsc_mixer`.

GRU and LSTM are torch's (`torch.nn:GRU`). Padding is zeros at the end of a row. Every layer is the
published one without its short convolution: the scaffold has it.

Shapes: B rows, L positions, D channels, H heads, K key and V value dims.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention, silu, softplus

from .configuration_vsc import VscMambaConfig
from .counter import rotate
from .delta_rule import delta_rule
from .modeling_mamba import VscMambaForMaskedLM

CHUNK = 64
"""Tokens that one triangular solve takes together."""


class Attention(nn.Module):
    """Softmax attention with rotary positions.

    Args:
      hidden_size: D.
      num_heads: H.
      causal: position i sees no later one.
    Source: attention, arXiv 1706.03762; rotary positions, arXiv 2104.09864.

    >>> Attention(16)(torch.zeros(2, 5, 16)).shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, hidden_size: int, num_heads: int = 4, causal: bool = True) -> None:
        super().__init__()
        self.num_heads, self.causal = num_heads, causal
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x_BxLxD: Tensor) -> Tensor:
        """Mix every position with all others, or with all earlier ones."""
        length = x_BxLxD.shape[1]
        q, k, v = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.qkv(x_BxLxD).chunk(3, dim=-1)
        )
        padding_BxL = (x_BxLxD == 0).all(-1)
        visible_Bx1x1xL = ~padding_BxL[:, None, None] | padding_BxL.all(-1)[:, None, None, None]
        if self.causal:
            order_LxL = torch.ones(length, length, dtype=torch.bool, device=x_BxLxD.device).tril()
            mixed = scaled_dot_product_attention(_rotate(q), _rotate(k), v, order_LxL)
        else:
            mixed = scaled_dot_product_attention(_rotate(q), _rotate(k), v, visible_Bx1x1xL)
        out_BxLxD: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out_BxLxD


def _rotate(x_BxHxLxK: Tensor) -> Tensor:
    """Rotate pairs of channels by angles that grow with the position."""
    length, size = x_BxHxLxK.shape[-2:]
    rates = 10_000.0 ** (-torch.arange(0, size, 2, device=x_BxHxLxK.device) / size)
    return rotate(x_BxHxLxK, torch.arange(length, device=x_BxHxLxK.device)[:, None] * rates)


class Convolution(nn.Module):
    """One depthwise convolution and a gate.

    Args:
      hidden_size: D.
      kernel_size: positions that are seen.
      causal: none of them is a later one.

    >>> Convolution(16)(torch.zeros(2, 5, 16)).shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, hidden_size: int, kernel_size: int = 31, causal: bool = True) -> None:
        super().__init__()
        after = 0 if causal else kernel_size // 2
        self.pad = nn.ConstantPad1d((kernel_size - 1 - after, after), 0.0)
        self.project = nn.Linear(hidden_size, 2 * hidden_size)
        self.conv = nn.Conv1d(hidden_size, hidden_size, kernel_size, groups=hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)

    def forward(self, x_BxLxD: Tensor) -> Tensor:
        """Mix each position with its neighborhood."""
        x, gate = self.project(x_BxLxD).chunk(2, dim=-1)
        x = x * (x_BxLxD != 0).any(-1, keepdim=True)  # padding is zeros, and the bias would show it
        mixed = self.conv(self.pad(x.transpose(1, 2))).transpose(1, 2)
        out_BxLxD: Tensor = self.out(mixed * silu(gate))
        return out_BxLxD


class Mamba(nn.Module):
    """A selective state space with a decay for each channel and state.

    Source: arXiv 2312.00752.

    >>> Mamba(16)(torch.zeros(2, 5, 16)).shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, hidden_size: int, state_size: int = 16, expand: int = 2) -> None:
        super().__init__()
        config = VscMambaConfig(
            hidden_size=hidden_size,
            state_size=state_size,
            expand=expand,
            num_layers=1,
            conv_kernel=1,
        )
        model: Any = VscMambaForMaskedLM(config)
        self.mixer = model.model.layers[0].mixer  # the model initializes it

    def forward(self, x_BxLxD: Tensor) -> Tensor:
        """Scan from left to right."""
        out_LxBxD: Tensor = self.mixer(x_BxLxD.transpose(0, 1), None)
        return out_LxBxD.transpose(0, 1)


class Mamba2(nn.Module):
    """A state space with one decay a head, in its attention-like form.

    Source: state space duality, arXiv 2405.21060.

    >>> Mamba2(16)(torch.zeros(2, 5, 16)).shape
    torch.Size([2, 5, 16])
    """

    def __init__(
        self, hidden_size: int, num_heads: int = 4, state_size: int = 16, expand: int = 2
    ) -> None:
        super().__init__()
        inner = expand * hidden_size
        self.num_heads = num_heads
        self.sizes = [inner, inner, state_size, state_size, num_heads]
        self.project = nn.Linear(hidden_size, sum(self.sizes), bias=False)
        self.A_log = nn.Parameter(torch.arange(1.0, num_heads + 1).log())
        self.D = nn.Parameter(torch.ones(num_heads))
        self.dt_bias = nn.Parameter(torch.full((num_heads,), -4.0))
        self.norm = nn.RMSNorm(inner)
        self.out = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, x_BxLxD: Tensor) -> Tensor:
        """Scan from left to right."""
        gate, x, b_BxLxN, c_BxLxN, step = self.project(x_BxLxD).split(self.sizes, dim=-1)
        step_BxHxL = softplus(step + self.dt_bias).transpose(1, 2)
        x_BxHxLxV = x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        decay_BxHxL = (-self.A_log.exp()[:, None] * step_BxHxL).cumsum(-1)
        log_BxHxLxL = decay_BxHxL[..., :, None] - decay_BxHxL[..., None, :]
        order_LxL = torch.ones_like(log_BxHxLxL[0, 0], dtype=torch.bool).tril()
        weights = log_BxHxLxL.masked_fill(~order_LxL, -torch.inf).exp()
        weights = weights * (c_BxLxN @ b_BxLxN.transpose(1, 2))[:, None]
        y_BxHxLxV = weights @ (x_BxHxLxV * step_BxHxL[..., None])
        y_BxHxLxV = y_BxHxLxV + self.D[:, None, None] * x_BxHxLxV
        y = y_BxHxLxV.transpose(1, 2).flatten(2)
        out_BxLxD: Tensor = self.out(self.norm(y * silu(gate)))
        return out_BxLxD


class Delta(nn.Module):
    """The delta rule with betas up to 2, with which a step can swap what two keys hold.

    Source: the layer, arXiv 2406.06484; betas up to 2, arXiv 2411.12537.

    >>> Delta(16)(torch.zeros(2, 5, 16)).shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, hidden_size: int, num_heads: int = 4, key_dim: int = 16) -> None:
        super().__init__()
        self.num_heads, value_dim = num_heads, hidden_size // num_heads
        self.sizes = [num_heads * key_dim] * 2 + [num_heads * value_dim, num_heads]
        self.project = nn.Linear(hidden_size, sum(self.sizes), bias=False)
        self.norm = nn.RMSNorm(value_dim)
        self.out = nn.Linear(num_heads * value_dim, hidden_size, bias=False)

    def forward(self, x_BxLxD: Tensor) -> Tensor:
        """Scan from left to right: S <- (I - b k k^T) S + b k v^T, read by S^T q."""
        *qkv, beta = self.project(x_BxLxD).split(self.sizes, dim=-1)
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in qkv)
        q, k = normalize(silu(q), dim=-1), normalize(silu(k), dim=-1)
        beta_BxLxH = 2 * beta.sigmoid() * (x_BxLxD != 0).any(-1, keepdim=True)
        y_BxHxLxV = self.norm(delta_rule(q, k, v, beta_BxLxH.mT))
        out_BxLxD: Tensor = self.out(y_BxHxLxV.transpose(1, 2).flatten(2))
        return out_BxLxD


class GatedDelta(nn.Module):
    """A delta rule whose memory also decays, with betas up to 1.

    Source: gated delta networks, arXiv 2412.06464.

    >>> GatedDelta(16)(torch.zeros(2, 5, 16)).shape
    torch.Size([2, 5, 16])
    """

    def __init__(self, hidden_size: int, num_heads: int = 4, key_dim: int = 16) -> None:
        super().__init__()
        self.num_heads, value_dim = num_heads, hidden_size // num_heads
        self.sizes = [num_heads * key_dim] * 2 + [num_heads * value_dim] * 2 + [num_heads] * 2
        self.project = nn.Linear(hidden_size, sum(self.sizes), bias=False)
        self.A_log = nn.Parameter(torch.linspace(1.0, 16.0, num_heads).log())
        self.dt_bias = nn.Parameter(torch.full((num_heads,), -4.0))
        self.norm = nn.RMSNorm(value_dim)
        self.out = nn.Linear(num_heads * value_dim, hidden_size, bias=False)

    def forward(self, x_BxLxD: Tensor) -> Tensor:
        """Scan from left to right: S <- a (I - b k k^T) S + b k v^T, read by S^T q."""
        q, k, v, gate, beta, step = self.project(x_BxLxD).split(self.sizes, dim=-1)
        q, k, v, gate = (part.unflatten(-1, (self.num_heads, -1)) for part in (q, k, v, gate))
        q, k = normalize(silu(q), dim=-1), normalize(silu(k), dim=-1)
        log_keep_BxLxH = -self.A_log.exp() * softplus(step + self.dt_bias)
        beta_BxLxH = beta.sigmoid() * (x_BxLxD != 0).any(-1, keepdim=True)
        heads_first = (part.transpose(1, 2) for part in (q, k, v, beta_BxLxH, log_keep_BxLxH))
        y_BxLxHxV = self.norm(_gated_delta_rule(*heads_first).transpose(1, 2)) * silu(gate)
        out_BxLxD: Tensor = self.out(y_BxLxHxV.flatten(2))
        return out_BxLxD


def _gated_delta_rule(
    q_BxHxLxK: Tensor, k_BxHxLxK: Tensor, v_BxHxLxV: Tensor, b_BxHxL: Tensor, log_keep_BxHxL: Tensor
) -> Tensor:
    """As `delta_rule` in chunks, (B, H, L, V), where what a token wrote decays until it is read."""
    state, reads = v_BxHxLxV.new_zeros(k_BxHxLxK.shape[-1], v_BxHxLxV.shape[-1]), []
    parts = (q_BxHxLxK, k_BxHxLxK, v_BxHxLxV, b_BxHxL.unsqueeze(-1), log_keep_BxHxL.unsqueeze(-1))
    for q, k, v, b, log_keep in zip(*(part.split(CHUNK, dim=2) for part in parts), strict=True):
        total = log_keep.cumsum(2)
        decay = (total - total.mT).tril().exp().tril()
        since = total.exp()
        u = torch.linalg.solve_triangular(
            k * b @ k.mT * decay, b * (v - since * k @ state), upper=False, unitriangular=True
        )
        reads.append((q @ k.mT * decay) @ u + since * q @ state)
        last = total[:, :, -1:]
        state = last.exp() * state + (k * (last - total).exp()).mT @ u
    return torch.cat(reads, dim=2)
