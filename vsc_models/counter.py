"""Rotate keys and queries by a count that the model learns: a data-dependent rotary position."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

# Below a quarter a step is zero, above three quarters it is one: where up and down are whole,
# they cancel, and the count lasts. Between them it is a fraction, so that it can be learned.
_DEAD_ZONE = 0.25


class VscCounter(nn.Module):
    """Gated steps, up or down, summed from the first byte on.

    What `-3` and `+2` touch depends on the letters that are left. A count of them that rotates
    keys and queries moves every operation by as many positions, also those beyond training. A count
    of one rotates a position, a unit vector of `key_dim` channels, into one orthogonal to it; after
    `key_dim` it is back with the other sign. A step depends on its byte alone: one that knows the
    neighbors learns each operation apart, and rightly only as far as the training programs go.

    Source: rotary positions, arXiv 2104.09864, with positions that depend on the data; gradients
      pass the dead zone straight, arXiv 1308.3432.
    """

    def __init__(self, hidden_size: int, num_counters: int, key_dim: int) -> None:
        super().__init__()
        self.key_dim = key_dim
        self.steps = nn.Linear(hidden_size, 2 * num_counters)

    def forward(self, embeds_BxLxD: Tensor, mask_BxL: Tensor | None) -> Tensor:
        """Count, and return angles in radians.

        Args:
          embeds_BxLxD: the bytes, each without its neighbors.
          mask_BxL: False where a byte is padding and does not count.
        Returns:
          (B, L, key_dim / 2), at least float32: bfloat16 holds no count above 256.
        """
        with torch.autocast(embeds_BxLxD.device.type, enabled=False):
            step_BxL = self._steps(embeds_BxLxD)
            if mask_BxL is not None:
                step_BxL = step_BxL * mask_BxL
            # A count and its remainder rotate alike; large ones would lose digits as angles.
            count_BxLx1 = step_BxL.cumsum(1).fmod(2 * self.key_dim).unsqueeze(-1)
            odd = 2 * torch.arange(self.key_dim // 2, device=step_BxL.device) + 1
            return count_BxLx1 * (torch.pi / self.key_dim * odd.to(step_BxL.dtype))

    def _steps(self, embeds_BxLxD: Tensor) -> Tensor:
        dtype = torch.promote_types(embeds_BxLxD.dtype, torch.float32)
        # Embeddings have about unit length, and a linear layer is drawn for channels of unit size.
        scaled_BxLxD = embeds_BxLxD.to(dtype) * self.steps.in_features**0.5
        weight, bias = self.steps.weight.to(dtype), self.steps.bias.to(dtype)
        gate, way = linear(scaled_BxLxD, weight, bias).chunk(2, dim=-1)
        soft = (4 * gate).sigmoid() * way.tanh()
        hard = soft.sign() * ((soft.abs() - _DEAD_ZONE) / (1 - 2 * _DEAD_ZONE)).clamp(0, 1)
        return (soft + (hard - soft).detach()).sum(-1)


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Rotate each pair of channels, the first half with the second, by its own angle.

    Args:
      x: (..., K), K even.
      angle: (..., K / 2), in radians.

    >>> rotate(torch.tensor([1.0, 0.0]), torch.tensor([torch.pi / 2])).round().abs()
    tensor([0., 1.])
    """
    first, second = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).to(x.dtype)
