"""A dilated convolution over positions as a sum of shifted matrix products: fast on a CPU.

oneDNN has no fast kernel for a dilated convolution on a processor without AVX-512. With positions
in the first axis, what a tap of the kernel reads is one block of memory, so each tap is one matrix
product without a copy, and the places that padding would fill are not computed at all.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad


class CausalConv1d(nn.Conv1d):
    """A convolution that is padded on the left alone: position i sees i and what precedes it."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, C, L)."""
        return super().forward(pad(input, (self.dilation[0] * (self.kernel_size[0] - 1), 0)))


def make_conv(
    channels: int, out_channels: int, kernel: int, dilation: int = 1, *, causal: bool = False
) -> nn.Conv1d:
    """Build a convolution that keeps the length, causal or centered.

    >>> make_conv(1, 1, 4, causal=True)(torch.zeros(1, 1, 7)).shape
    torch.Size([1, 1, 7])
    """
    if causal:
        return CausalConv1d(channels, out_channels, kernel, dilation=dilation)
    return nn.Conv1d(channels, out_channels, kernel, padding="same", dilation=dilation)


def dilated_conv(conv: nn.Conv1d, x_LxBxC: Tensor) -> Tensor:
    """Convolve over positions.

    Args:
      conv: as `make_conv` builds it.
      x_LxBxC: positions, batch, channels.
    Returns:
      (L, B, out channels), what `conv` gives within rounding.

    >>> conv = nn.Conv1d(2, 3, kernel_size=5, padding="same", dilation=2)
    >>> x_BxCxL = torch.randn(4, 2, 7)
    >>> y_LxBxC = dilated_conv(conv, x_BxCxL.permute(2, 0, 1))
    >>> torch.allclose(y_LxBxC.permute(1, 2, 0), conv(x_BxCxL), atol=1e-6)
    True
    """
    elsewhere = x_LxBxC.device.type != "cpu" or torch.is_autocast_enabled("cpu")
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]
    if elsewhere or traced:
        return conv(x_LxBxC.permute(1, 2, 0)).permute(2, 0, 1)
    kernel = conv.kernel_size[0]
    before = kernel - 1 if isinstance(conv, CausalConv1d) else kernel // 2
    y_LxBxC: Tensor = _ShiftedProducts.apply(
        x_LxBxC, conv.weight, conv.bias, conv.dilation[0], before
    )
    return y_LxBxC


def _taps(
    length: int, kernel: int, dilation: int, before: int
) -> Iterator[tuple[int, slice, slice]]:
    """Yield each tap of the kernel that reaches a position: its index, what it writes and reads.

    `before` taps precede the one that reads the position itself.

    >>> [(tap, y.start, y.stop, x.start) for tap, y, x in _taps(4, 3, 2, 1)]
    [(0, 2, 4, 0), (1, 0, 4, 0), (2, 0, 2, 2)]
    """
    for tap in range(kernel):
        shift = (tap - before) * dilation
        if abs(shift) < length:
            first, last = max(0, -shift), length - max(0, shift)
            yield tap, slice(first, last), slice(first + shift, last + shift)


class _ShiftedProducts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_LxBxC: Tensor, w_OxCxK: Tensor, bias: Tensor, dilation: int, before: int
    ) -> Tensor:
        x_LxBxC = x_LxBxC.contiguous()
        ctx.save_for_backward(x_LxBxC, w_OxCxK)
        ctx.taps = (len(x_LxBxC), w_OxCxK.shape[2], dilation, before)
        length, batch, _ = x_LxBxC.shape
        w_KxCxO = w_OxCxK.permute(2, 1, 0).contiguous()
        y_LxBxO = bias.expand(length, batch, -1).contiguous()
        for tap, written, read in _taps(*ctx.taps):
            y_LxBxO[written].flatten(0, 1).addmm_(x_LxBxC[read].flatten(0, 1), w_KxCxO[tap])
        return y_LxBxO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_LxBxC, w_OxCxK = ctx.saved_tensors
        dy_LxBxO = gradients[0].contiguous()
        w_KxOxC = w_OxCxK.permute(2, 0, 1).contiguous()
        dx_LxBxC = torch.zeros_like(x_LxBxC)
        dw_KxCxO = torch.zeros_like(w_KxOxC.mT, memory_format=torch.contiguous_format)
        for tap, written, read in _taps(*ctx.taps):
            dy_NxO = dy_LxBxO[written].flatten(0, 1)
            dx_LxBxC[read].flatten(0, 1).addmm_(dy_NxO, w_KxOxC[tap])
            torch.mm(x_LxBxC[read].flatten(0, 1).T, dy_NxO, out=dw_KxCxO[tap])
        return dx_LxBxC, dw_KxCxO.permute(2, 1, 0), dy_LxBxO.sum((0, 1)), None, None
