"""A count of whole steps, and places that it takes into one another."""

import pytest
import torch

from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM, modeling_delta
from vsc_models.counter import VscCounter, turn


def counting(gate, way, counters=1, key_dim=8):
    """A counter whose steps are the same at every byte; both before their sigmoid and tanh."""
    counter = VscCounter(3, counters, key_dim)
    with torch.no_grad():
        counter.steps.weight.zero_()
        counter.steps.bias.copy_(torch.tensor([gate] * counters + [way] * counters))
    return counter


@pytest.mark.parametrize("key_dim", [2, 6, 16])
def test_whole_steps_take_orthogonal_places_into_one_another(key_dim):
    angles = counting(9.0, 9.0, key_dim=key_dim)(torch.zeros(1, key_dim, 3), None)[0]
    place = torch.full((key_dim // 2,), (2 / key_dim) ** 0.5)
    places = turn(torch.cat([place, torch.zeros(key_dim // 2)]), angles)
    assert torch.allclose(places @ places.T, torch.eye(key_dim), atol=1e-5)


def test_steps_are_whole_but_near_a_half():
    places = {
        soft: counting(9.0, torch.tensor(soft).atanh().item())(torch.zeros(1, 3, 3), None)[0, :, 0]
        / (torch.pi / 8)
        for soft in (-0.8, -0.2, 0.2, 0.5, 0.8)
    }
    assert {soft: place.tolist() for soft, place in places.items() if soft != 0.5} == {
        -0.8: [-1, -2, -3], -0.2: [0, 0, 0], 0.2: [0, 0, 0], 0.8: [1, 2, 3],
    }  # fmt: skip
    assert places[0.5][0].item() == pytest.approx(0.5, abs=0.01)


def test_a_step_that_is_nothing_still_learns():
    counter = counting(0.0, 0.2)
    counter(torch.ones(1, 3, 3), None).sum().backward()
    assert counter.steps.weight.grad.abs().min() > 0


def test_padding_is_not_counted():
    counter, real = counting(9.0, 9.0), torch.tensor([[False, True, True, False]])
    assert (counter(torch.zeros(1, 4, 3), real)[0, :, 0] / (torch.pi / 8)).tolist() == [0, 1, 2, 2]


def test_counts_stay_whole_in_bfloat16():
    counter = counting(9.0, 9.0).bfloat16()
    angle = counter(torch.zeros(1, 600, 3, dtype=torch.bfloat16), None)[0, -1, 0]
    assert angle.item() == pytest.approx(600 * torch.pi / 8)


def test_a_step_knows_its_byte_alone():
    torch.manual_seed(0)
    model = VscDeltaForMaskedLM(VscDeltaConfig(num_counters=4)).eval()
    seen = []
    model.model.mixer.counter.register_forward_hook(lambda _, __, angle: seen.append(angle))
    for text in (b"UXMP: -2", b"UYQP> +2"):
        model(input_ids=torch.tensor([list(text)]))
    steps, others = (angle[0, :, 0].diff(prepend=torch.zeros(1)) for angle in seen)
    same = torch.tensor([True, False, False, True, False, True, False, True])
    assert torch.allclose(steps[same], others[same], atol=1e-6)
    assert not torch.isclose(steps[~same], others[~same]).all()


@pytest.mark.parametrize(("stretch", "betas"), [(0.0, (0.01339, 1.98661)), (0.05, (0.0, 2.0))])
def test_a_stretched_beta_is_exact(stretch, betas, monkeypatch):
    layer = modeling_delta.VscDeltaLayer(VscDeltaConfig(beta_stretch=stretch, num_heads=2))
    with torch.no_grad():
        layer.update.weight.zero_()
        layer.update.bias.view(2, -1)[:, -1] = torch.tensor([-1.25, 1.25])
    seen = []

    def watched(*inputs, **options):
        seen.append(inputs[3])
        return modeling_delta_rule(*inputs, **options)

    modeling_delta_rule = modeling_delta.delta_rule
    monkeypatch.setattr(modeling_delta, "delta_rule", watched)
    layer(torch.zeros(1, 4, 32), torch.zeros(1, 4, 32), None, None)
    found = seen[0][0, :, 0].tolist()
    assert found == (pytest.approx(betas, abs=1e-4) if stretch == 0 else list(betas))
