"""The layers that others are compared with do what their papers say."""

import pytest
import torch
from torch.nn.functional import normalize, silu, softplus

from vsc_models.baselines import CHUNK, Attention, Convolution, Delta, GatedDelta, Mamba, Mamba2

CAUSAL = [Attention, Convolution, Mamba, Mamba2, Delta, GatedDelta]
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


@pytest.mark.parametrize("layer", BOTH)
def test_layers_of_both_directions_do_not_see_padding(layer):
    model, x = make(layer, causal=False), torch.randn(1, 6, 16)
    padded = torch.cat([x, torch.zeros(1, 3, 16)], dim=1)
    assert torch.allclose(model(padded)[:, :6], model(x), atol=1e-5)


@torch.no_grad()
def test_mamba_is_its_recurrence_without_a_convolution():
    layer, x = make(Mamba), torch.randn(2, 7, 16)
    model = layer.mixer
    inner, gate = model.in_proj(x).chunk(2, dim=-1)
    inner = silu(inner * model.conv1d.weight[:, 0, 0] + model.conv1d.bias)
    step, b, c = model.x_proj(inner).split(model.sizes, dim=-1)
    step = softplus(model.dt_proj(step))
    state, read = torch.zeros(2, inner.shape[-1], b.shape[-1]), []
    for i in range(7):
        keep = (-model.A_log.exp() * step[:, i, :, None]).exp()
        state = keep * state + (step[:, i] * inner[:, i])[..., None] * b[:, i, None]
        read.append(torch.einsum("ben,bn->be", state, c[:, i]) + model.D * inner[:, i])
    y = torch.stack(read, dim=1) * silu(gate)
    assert torch.allclose(model.out_proj(y), layer(x), atol=1e-5)


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


def scan(q, k, v, beta, keep):
    """Run the recurrence of the delta rule, whose memory keeps a share at each position."""
    state, read = torch.zeros(len(v), v.shape[2], k.shape[-1], v.shape[-1]), []
    for i in range(v.shape[1]):
        state = keep[:, i, :, None, None] * state
        held = torch.einsum("bhkv,bhk->bhv", state, k[:, i])
        change = beta[:, i, :, None] * (v[:, i] - held)
        state = state + k[:, i, :, :, None] * change[:, :, None]
        read.append(torch.einsum("bhkv,bhk->bhv", state, q[:, i]))
    return torch.stack(read, dim=1)


@torch.no_grad()
def test_delta_is_its_recurrence_with_betas_up_to_two():
    model, x = make(Delta), torch.randn(2, 7, 16)
    q, k, v, beta = model.project(x).split(model.sizes, dim=-1)
    q, k, v = (part.unflatten(-1, (model.num_heads, -1)) for part in (q, k, v))
    q, k = normalize(silu(q), dim=-1), normalize(silu(k), dim=-1)
    read = scan(q, k, v, 2 * beta.sigmoid(), torch.ones_like(beta))
    assert torch.allclose(model.out(model.norm(read).flatten(2)), model(x), atol=1e-5)


@torch.no_grad()
def test_gated_delta_is_its_recurrence_over_more_than_one_chunk():
    model, x = make(GatedDelta), torch.randn(2, CHUNK + 7, 16)
    model.dt_bias.fill_(-3.0)
    q, k, v, gate, beta, step = model.project(x).split(model.sizes, dim=-1)
    q, k, v, gate = (part.unflatten(-1, (model.num_heads, -1)) for part in (q, k, v, gate))
    q, k = normalize(silu(q), dim=-1), normalize(silu(k), dim=-1)
    keep = (-model.A_log.exp() * softplus(step + model.dt_bias)).exp()
    assert keep.min() < 0.7
    y = model.norm(scan(q, k, v, beta.sigmoid(), keep)) * silu(gate)
    assert torch.allclose(model.out(y.flatten(2)), model(x), atol=1e-5)
