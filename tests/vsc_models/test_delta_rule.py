"""The chunked delta rule equals the recurrence, forward and backward."""

import pytest
import torch
from torch.nn.functional import normalize

from tests.vsc_models.recurrence import recurrence
from vsc_models.delta_rule import delta_rule

POSITIONS = torch.tensor([[2, 0, 10, 5], [10, 10, 3, 6]])
"""Out of order, twice the same, in every chunk of 4."""


def inputs(length=11, steps=1, queries=None, seed=0):
    """Unit queries and keys, values, betas over all of (0, 2): (2, 3, …, 5 or 4)."""
    bits = torch.Generator().manual_seed(seed)
    total = length * steps
    q = normalize(torch.randn(2, 3, queries or length, 5, generator=bits), dim=-1)
    k = normalize(torch.randn(2, 3, total, 5, generator=bits), dim=-1)
    v = torch.randn(2, 3, total, 4, generator=bits)
    b = 2 * torch.rand(2, 3, total, generator=bits)
    return [x.requires_grad_() for x in (q, k, v, b)]


def close(a, b):
    return torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("positions", [None, POSITIONS])
@pytest.mark.parametrize("chunk_size", [1, 4, 11, 64])
def test_chunks_agree_with_the_recurrence(steps, positions, chunk_size):
    tensors = inputs(steps=steps, queries=positions is not None and 4)
    how = {"positions": positions, "num_householder": steps}
    ours = delta_rule(*tensors, chunk_size=chunk_size, **how)
    truth = recurrence(*tensors, **how)
    assert close(ours, truth)
    direction = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(ours, tensors, direction)
    for gradient, true in zip(
        gradients, torch.autograd.grad(truth, tensors, direction), strict=True
    ):
        assert close(gradient, true)


@pytest.mark.parametrize("steps, rows", [(1, [5, 5, 2]), (2, [4] * 6), (7, [7] * 12)])
def test_a_chunk_is_so_many_updates_in_whole_tokens(steps, rows, monkeypatch):
    solve, solved = torch.linalg.solve_triangular, []

    def count(matrix, *others, **more):
        solved.append(matrix.shape[-1])
        return solve(matrix, *others, **more)

    monkeypatch.setattr(torch.linalg, "solve_triangular", count)
    delta_rule(*inputs(length=12, steps=steps), num_householder=steps, chunk_size=5)
    assert solved == rows


def test_default_chunk_agrees_with_the_recurrence_on_long_rows():
    tensors = inputs(length=150)
    assert close(delta_rule(*tensors), recurrence(*tensors))


def test_wanted_positions_agree_with_all_positions():
    q, k, v, b = inputs(steps=2)
    some = q.gather(2, POSITIONS[:, None, :, None].expand(-1, 3, -1, 5))
    everywhere = delta_rule(q, k, v, b, num_householder=2, chunk_size=4)
    wanted = everywhere.gather(2, POSITIONS[:, None, :, None].expand(-1, 3, -1, 4))
    assert close(delta_rule(some, k, v, b, positions=POSITIONS, num_householder=2), wanted)


@pytest.mark.parametrize("steps", [1, 3])
def test_bfloat16_is_within_two_percent(steps):
    tensors = inputs(length=100, steps=steps)
    truth = delta_rule(*tensors, num_householder=steps)
    short = delta_rule(*(x.bfloat16() for x in tensors), num_householder=steps)
    assert short.dtype == torch.bfloat16
    assert (short - truth).norm() / truth.norm() <= 2e-2


def test_autocast_keeps_the_solve_in_float32():
    tensors = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        inside = delta_rule(*tensors)
    assert torch.equal(inside, delta_rule(*tensors))


def test_beta_two_swaps_letters_exactly():
    letters = torch.eye(5)
    keys, values = [*letters], [*letters]
    cells = list(range(5))
    for x, y in [(0, 1), (3, 1), (4, 0), (2, 3)]:
        keys.append((letters[x] - letters[y]) / 2**0.5)
        values.append(torch.zeros(5))
        cells[x], cells[y] = cells[y], cells[x]
    betas = torch.tensor([1.0] * 5 + [2.0] * 4)
    behind_all = torch.full((1, 5), 8)
    k, v, q = (torch.stack(list(x))[None, None] for x in (keys, values, letters))
    assert close(delta_rule(q, k, v, betas[None, None], positions=behind_all)[0, 0], letters[cells])


def test_beta_zero_leaves_the_memory_alone():
    q, k, v, b = inputs()
    with torch.no_grad():
        b[:, :, 5] = 0
        other_v = v.clone()
        other_v[:, :, 5] = 1e6
    assert torch.equal(delta_rule(q, k, v, b), delta_rule(q, k, other_v, b))


def test_wrong_numbers_are_named():
    q, k, v, b = inputs()
    with pytest.raises(ValueError, match=r"11 keys .* num_householder=2"):
        delta_rule(q, k, v, b, num_householder=2)
    with pytest.raises(ValueError, match="4 queries for 11 tokens"):
        delta_rule(q[:, :, :4], k, v, b)
