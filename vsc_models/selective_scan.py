"""Scan a state space that depends on its inputs.

Mathematics only. A state h (E, N) begins empty; each byte moves and reads it:

    h <- exp(step A) h + step x B        y = h C        (for each inner channel E)

The loop over time holds nothing but this one product and sum; all else is done for all times at
once. The derivative is written out: a graph of it would keep, and fetch fresh memory for, every
product. Rows are taken in blocks whose states stay in the cache, and the way back computes them a
second time, because fresh memory for them costs several times what computing them does.

Shapes: L times, B rows, E inner channels, N numbers that each channel remembers.
"""

import math
import threading
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_BLOCK, _SHARED_BLOCK = 2**19, 2**21
"""States, over all times, that one or several CPU threads work on together. Smaller blocks stay in
the cache, but to share a small product costs more than it saves: with two threads blocks of 2^19
took 1.4 times as long as those of 2^21, with one thread 0.8 times."""

_LOG2_E = math.log2(math.e)  # 2^x takes a quarter of the time of e^x


class _Local(threading.local):
    """What each thread has of its own; pickled by name, as `datasets` does with what a map uses."""

    def __reduce__(self) -> str:
        return "_memory"


_memory = _Local()


def selective_scan(
    x_LxBxE: Tensor, step_LxBxE: Tensor, a_ExN: Tensor, b_LxBxN: Tensor, c_LxBxN: Tensor
) -> Tensor:
    """Run the state space over all times.

    A time with x 0 adds nothing to the states: before a row, that is how padding is hidden.
    The work is done in float32 (float64 for float64 inputs), under autocast too: small errors of
    the decay multiply over time.

    Args:
      x_LxBxE: inputs.
      step_LxBxE: time steps, above 0.
      a_ExN: decay per unit of time, below 0.
      b_LxBxN: how each input is written into the state.
      c_LxBxN: how the state is read.
    Returns:
      (L, B, E) in the dtype of `x_LxBxE`.
    Source: Mamba, arXiv 2312.00752, equation 2 with A discretized exactly and B by Euler's rule.

    >>> one = torch.ones(3, 1, 1)
    >>> selective_scan(one, one, torch.tensor([[0.5]]).log(), one, one).flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    with torch.autocast(x_LxBxE.device.type, enabled=False):
        dtype = torch.promote_types(x_LxBxE.dtype, torch.float32)
        x, step, a, b, c = (
            tensor.to(dtype) for tensor in (x_LxBxE, step_LxBxE, a_ExN, b_LxBxN, c_LxBxN)
        )
        out_LxBxE: Tensor = _Scan.apply(step, step * x, a.T.contiguous(), b, c)
        return out_LxBxE.to(x_LxBxE.dtype)


def causal_convolution(x_LxBxE: Tensor, weight_ExK: Tensor, bias_E: Tensor) -> Tensor:
    """Sum the last K times of each channel with its own weights, (L, B, E).

    >>> two = causal_convolution(torch.ones(3, 1, 1), torch.tensor([[0.25, 1.0]]), torch.zeros(1))
    >>> two.flatten()
    tensor([1.0000, 1.2500, 1.2500])
    """
    out_LxBxE: Tensor = _Convolution.apply(x_LxBxE, weight_ExK, bias_E)
    return out_LxBxE


class _Convolution(Function):
    """The causal convolution; torch's own derivative of these sums copies them once per tap."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """As causal_convolution."""
        ctx.save_for_backward(x, weight)
        *earlier, now = weight.T.contiguous()
        out = torch.addcmul(bias, x, now)
        for back, tap in enumerate(reversed(earlier[-len(x) + 1 :] if len(x) > 1 else []), 1):
            out[back:].addcmul_(x[:-back], tap)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the gradients of all three."""
        x, weight = ctx.saved_tensors
        grad_x, grad_weight = grad * weight[:, -1], torch.zeros_like(weight)
        product = _scratch(grad, grad.shape)
        for back in range(min(weight.shape[1], len(x))):
            later, tap = grad[back:], weight.shape[1] - 1 - back
            if back:
                grad_x[:-back].addcmul_(later, weight[:, tap].contiguous())
            torch.mul(later, x[: len(x) - back], out=product[back:])
            grad_weight[:, tap] = product[back:].sum((0, 1))
        return grad_x, grad_weight, grad.sum((0, 1))


class _Scan(Function):
    """The scan of steps, drives (step x), A, B and C, with its derivative; states are (N, E).

    Channels are the long side and so come last. A sum over N is a small matrix product; a sum over
    E is not: the product of such matrices with a vector took four times as long.
    """

    @staticmethod
    def forward(ctx: Any, step: Tensor, drive: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """As selective_scan, with a (N, E)."""
        ctx.save_for_backward(step, drive, a, b, c)
        out = torch.empty_like(drive)
        for rows in _blocks(drive, a):
            _, states, *_ = _run(step[:, rows], drive[:, rows], a, b[:, rows])
            out[:, rows] = _sum_over_n(c[:, rows], states)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        """Compute the gradients of all five."""
        grads = tuple(torch.zeros_like(tensor) for tensor in ctx.saved_tensors)
        for rows in _blocks(grads[1], grads[2]):
            inputs, block = (
                [t if i == 2 else t[:, rows] for i, t in enumerate(tensors)]
                for tensors in (ctx.saved_tensors, grads)
            )
            _add_gradients(grad[:, rows], inputs, block)
        return grads


def _add_gradients(grad: Tensor, inputs: list[Tensor], grads: list[Tensor]) -> None:
    """Write one block of rows of the gradients, and add the block's share to that of A."""
    step, drive, a, b, c = inputs
    grad_step, grad_drive, grad_a, grad_b, grad_c = grads
    decay, states, wide, spare = _run(step, drive, a, b)
    # What a change of each state would change in the end.
    torch.mul(c.unsqueeze(3), grad.unsqueeze(2), out=wide)
    times = wide.unbind(0)
    for now, later, rate in zip(times[-2::-1], times[:0:-1], decay.unbind(0)[:0:-1], strict=True):
        now.addcmul_(rate, later)
    grad_drive.copy_(_sum_over_n(b, wide))
    torch.sum(torch.mul(states, grad.unsqueeze(2), out=spare), 3, out=grad_c)
    torch.sum(torch.mul(wide, drive.unsqueeze(2), out=spare), 3, out=grad_b)
    # From here on `wide` is the gradient of step * A; the first time has no state to decay.
    wide, spare = wide[1:].mul_(decay[1:]).mul_(states[:-1]), spare[1:]
    torch.sum(torch.mul(wide, a, out=spare), 2, out=grad_step[1:])
    grad_a += torch.mul(wide, step[1:].unsqueeze(2), out=spare).sum((0, 1))


def _run(
    step_LxBxE: Tensor, drive_LxBxE: Tensor, a_NxE: Tensor, b_LxBxN: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute the decay towards each time, the state after it, and two spares, all (L, B, N, E)."""
    length, batch, inner = drive_LxBxE.shape
    decay, states, *spares = _scratch(drive_LxBxE, (4, length, batch, len(a_NxE), inner))
    torch.mul(step_LxBxE.unsqueeze(2), a_NxE * _LOG2_E, out=decay).exp2_()
    torch.mul(drive_LxBxE.unsqueeze(2), b_LxBxN.unsqueeze(3), out=states)
    times = states.unbind(0)
    for before, now, rate in zip(times[:-1], times[1:], decay.unbind(0)[1:], strict=True):
        now.addcmul_(rate, before)
    return decay, states, spares[0], spares[1]


def _blocks(drive_LxBxE: Tensor, a_NxE: Tensor) -> list[slice]:
    """Cut the rows into blocks of at most _BLOCK states; not on a CPU take all at once."""
    length, batch, _ = drive_LxBxE.shape
    size = batch
    if drive_LxBxE.device.type == "cpu":
        block = _BLOCK if torch.get_num_threads() == 1 else _SHARED_BLOCK
        size = max(1, block // (length * a_NxE.numel()))
    return [slice(start, start + size) for start in range(0, batch, size)]


def _scratch(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Memory of this shape, not initialized, in the type of `like`.

    On a CPU each thread keeps its own: to fetch fresh pages took ten times as long as to fill them.
    """
    # What is traced or compiled must not be kept: it holds no numbers.
    if like.device.type != "cpu" or type(like) is not Tensor or torch.compiler.is_compiling():
        return like.new_empty(shape)
    kept, name, count = _memory.__dict__, str(like.dtype), math.prod(shape)
    if name not in kept or kept[name].numel() < count:
        with torch.inference_mode(False):  # made inside, it could not be used outside
            kept[name] = torch.empty(count, dtype=like.dtype)
    memory: Tensor = kept[name][:count].view(shape)
    return memory


def _sum_over_n(weights_LxBxN: Tensor, x_LxBxNxE: Tensor) -> Tensor:
    """(L, B, E), the sum over N of weights times x."""
    flat = torch.bmm(weights_LxBxN.flatten(0, 1).unsqueeze(1), x_LxBxNxE.flatten(0, 1))
    return flat.view(*x_LxBxNxE.shape[:2], -1)
