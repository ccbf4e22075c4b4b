"""Embeddings -> how far each byte turns keys and queries: a count that the model learns."""

import torch
from torch import Tensor, nn

# Below a quarter a step is nothing, from three quarters on it is one: only whole steps add up
# without drift over more operations than were trained.
_DEAD_ZONE = 0.25


class VscCounter(nn.Module):
    """Gated steps, up or down, summed from the first byte on.

    What `-3` and `+2` touch depends on the letters that are left. A count of them that turns keys
    and queries moves every operation by as many places, those never trained included. The places
    are `key_dim` unit vectors, orthogonal to each other, that the turn takes into one another. A
    step depends on its byte alone: one that knows the neighbours learns each operation apart, and
    rightly only as far as the training programs go.

    Source: sums of gated steps in place of positions, rotary: arXiv 2104.09864 with angles that
      depend on the data; gradients pass the dead zone straight: arXiv 1308.3432.
    """

    def __init__(self, hidden_size: int, num_counters: int, key_dim: int) -> None:
        super().__init__()
        self.key_dim = key_dim
        self.steps = nn.Linear(hidden_size, 2 * num_counters)

    def forward(self, embeds_BxLxD: Tensor, real_BxL: Tensor | None) -> Tensor:
        """The angles in radians, (B, L, key_dim / 2), in float32: half a bit would turn too far."""
        # Embeddings have about unit length, and a linear layer is drawn for channels of unit size.
        scaled_BxLxD = embeds_BxLxD * self.steps.in_features**0.5
        gate, way = self.steps(scaled_BxLxD).float().chunk(2, dim=-1)
        soft = (4 * gate).sigmoid() * way.tanh()
        hard = soft.sign() * ((soft.abs() - _DEAD_ZONE) / (1 - 2 * _DEAD_ZONE)).clamp(0, 1)
        step_BxL = (soft + (hard - soft).detach()).sum(-1)
        if real_BxL is not None:
            step_BxL = step_BxL * real_BxL
        odd = 2 * torch.arange(self.key_dim // 2, device=embeds_BxLxD.device) + 1
        return step_BxL.cumsum(1).unsqueeze(-1) * (torch.pi / self.key_dim * odd)


def turn(x: Tensor, angle: Tensor) -> Tensor:
    """Turn each pair of channels, the first half with the second, by its own angle.

    Args:
      x: (..., K), K even.
      angle: (..., K / 2), in radians.

    >>> turn(torch.tensor([1.0, 0.0]), torch.tensor([torch.pi / 2])).round().abs()
    tensor([0., 1.])
    """
    first, second = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).to(x.dtype)
