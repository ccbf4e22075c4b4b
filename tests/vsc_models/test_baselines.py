"""The layers that others are compared with do what their papers say."""

import pytest
import torch
from torch.nn.functional import normalize, silu, softplus

from vsc_models.baselines import Attention, Convolution, GatedDelta, Mamba, Mamba2
from vsc_models.delta_rule import delta_rule

CAUSAL = [Attention, Convolution, Mamba, Mamba2, GatedDelta]
BOTH = [Attention, Convolution]


def make(layer, **arguments):
    torch.manual_seed(0)
    return layer(16, **arguments).eval()


@pytest.mark.parametrize("layer", CAUSAL)
def test_no_position_sees_a_later_one(layer):
    x, changed = torch.randn(2, 9, 16), None
    changed = x.clone()
    changed[:, 6:] += 1
    moved = (make(layer)(x) - make(layer)(changed)).abs().amax((0, 2))
    assert (moved[:6] < 1e-5).all()
    assert (moved[6:] > 1e-5).all()


@pytest.mark.parametrize("layer", BOTH)
def test_without_causality_every_position_is_seen(layer):
    x = torch.randn(2, 9, 16)
    changed = x.clone()
    changed[:, 6] += 1
    moved = (make(layer, causal=False)(x) - make(layer, causal=False)(changed)).abs().amax((0, 2))
    assert (moved > 1e-5).all()


@pytest.mark.parametrize("layer", CAUSAL)
def test_a_row_gives_the_same_alone_and_with_padding(layer):
    model, x = make(layer), torch.randn(1, 6, 16)
    padded = torch.cat([x, torch.zeros(1, 3, 16)], dim=1)
    assert torch.allclose(model(padded)[:, :6], model(x), atol=1e-5)


def test_attention_of_both_directions_does_not_see_padding():
    model, x = make(Attention, causal=False), torch.randn(1, 6, 16)
    padded = torch.cat([x, torch.zeros(1, 3, 16)], dim=1)
    assert torch.allclose(model(padded)[:, :6], model(x), atol=1e-5)


@torch.no_grad()
def test_mamba2_is_its_recurrence():
    model, x = make(Mamba2), torch.randn(2, 7, 16)
    gate, inner, b, c, step = model.project(x).split(model.sizes, dim=-1)
    step = softplus(step + model.dt_bias)
    heads = inner.unflatten(-1, (model.num_heads, -1))
    state, read = torch.zeros(2, model.num_heads, b.shape[-1], heads.shape[-1]), []
    for i in range(7):
        keep = (-model.A_log.exp() * step[:, i]).exp()[..., None, None]
        written = (step[:, i, :, None] * heads[:, i])[:, :, None] * b[:, i, None, :, None]
        state = keep * state + written
        read.append(torch.einsum("bhnv,bn->bhv", state, c[:, i]) + model.D[:, None] * heads[:, i])
    y = torch.stack(read, dim=1).flatten(2)
    assert torch.allclose(model.out(model.norm(y * silu(gate))), model(x), atol=1e-5)


@torch.no_grad()
def test_gated_delta_without_decay_is_the_delta_rule():
    model, x = make(GatedDelta), torch.randn(2, 7, 16)
    model.A_log.fill_(-torch.inf)
    q, k, v, gate, beta, _ = model.project(x).split(model.sizes, dim=-1)
    q, k, v = (part.unflatten(-1, (model.num_heads, -1)).transpose(1, 2) for part in (q, k, v))
    read = delta_rule(
        normalize(silu(q), dim=-1), normalize(silu(k), dim=-1), v, beta.sigmoid().transpose(1, 2)
    )
    y = model.norm(read.transpose(1, 2)) * silu(gate.unflatten(-1, (model.num_heads, -1)))
    assert torch.allclose(model.out(y.flatten(2)), model(x), atol=1e-5)
