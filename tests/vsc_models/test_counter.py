"""A count of gated steps, the places that it takes into one another, and who uses it."""

import pytest
import torch
from torch.nn.functional import normalize

from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM, modeling_delta
from vsc_models.counter import VscCounter, rotate
from vsc_models.modeling_delta import VscDeltaLayer


def counting(gate, way, key_dim=8, num_counters=1):
    """A counter whose steps are the same at every byte; both before their sigmoid and tanh."""
    counter = VscCounter(3, num_counters, key_dim)
    with torch.no_grad():
        counter.steps.weight.zero_()
        counter.steps.bias.copy_(torch.tensor([gate, way]).repeat_interleave(num_counters))
    return counter


def counts(counter, embeds, real=None):
    """The count at every byte of the first row."""
    return (counter(embeds, real)[0, :, 0] / (torch.pi / counter.key_dim)).tolist()


@pytest.fixture
def seen(monkeypatch):
    """What the layers give to the delta rule."""
    found, real = [], modeling_delta.delta_rule

    def watched(*inputs, **options):
        found.append(inputs)
        return real(*inputs, **options)

    monkeypatch.setattr(modeling_delta, "delta_rule", watched)
    return found


@pytest.mark.parametrize("key_dim", [2, 6, 16])
def test_whole_steps_take_orthogonal_places_into_one_another(key_dim):
    angles = counting(9.0, 9.0, key_dim)(torch.zeros(1, key_dim, 3), None)[0]
    place = torch.full((key_dim // 2,), (2 / key_dim) ** 0.5)
    places = rotate(torch.cat([place, torch.zeros(key_dim // 2)]), angles)
    assert torch.allclose(places @ places.T, torch.eye(key_dim), atol=1e-5)


@pytest.mark.parametrize(
    ("soft", "step"), [(0.2, 0), (-0.24, 0), (0.5, 0.5), (-0.7, -0.9), (-0.8, -1), (0.9, 1)]
)
@pytest.mark.parametrize("counters", [1, 3])
def test_steps_near_nothing_and_near_one_are_whole(soft, step, counters):
    way = torch.tensor(soft).atanh().item()
    found = counts(counting(9.0, way, num_counters=counters), torch.zeros(1, 3, 3))
    assert found == pytest.approx([counters * step * t for t in (1, 2, 3)], abs=1e-4)


def test_whole_steps_up_and_down_cancel():
    torch.manual_seed(0)
    counter = VscCounter(16, 1, 16)
    up, down = (torch.tensor([gate, way]) for gate, way in ((2.0, 1.3), (3.0, -1.1)))
    embeds = torch.zeros(1, 10_000, 16)
    embeds[0, :, :2] = torch.stack([up, down]).repeat(5000, 1) / 4
    with torch.no_grad():
        counter.steps.weight.copy_(torch.eye(2, 16))
        counter.steps.bias.zero_()
    angles = counter(embeds, None)[0]
    assert angles[1::2].abs().max() < 1e-2
    assert (angles[::2] - angles[0]).abs().max() < 1e-2
    assert angles[0, 0].item() == pytest.approx(torch.pi / 16)


def test_a_large_count_turns_as_its_remainder():
    angles = counting(9.0, 9.0, 16)(torch.zeros(1, 10_016, 3), None)[0]
    assert torch.equal(angles[10_000:], angles[16:32])


def test_a_step_that_is_nothing_still_learns():
    counter = counting(0.0, 0.2)
    counter(torch.ones(1, 3, 3), None).sum().backward()
    assert counter.steps.weight.grad.abs().min() > 0


def test_padding_is_not_counted():
    real = torch.tensor([[False, True, True, False]])
    assert counts(counting(9.0, 9.0), torch.zeros(1, 4, 3), real) == [0, 1, 2, 2]


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_counts_like_the_same_numbers_in_full(autocast):
    torch.manual_seed(0)
    counter, embeds = VscCounter(32, 3, 16).bfloat16(), torch.randn(2, 600, 32).bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        short = counter(embeds, None)
    full = counter.float()(embeds.float(), None)
    assert full.abs().max() > 10
    assert torch.equal(short, full)
    assert counter.double()(embeds.double(), None).dtype == torch.float64


def test_a_step_knows_its_byte_alone():
    torch.manual_seed(0)
    model = VscDeltaForMaskedLM(VscDeltaConfig(num_counters=3)).eval()
    seen = []
    model.model.mixer.counter.register_forward_hook(lambda _, __, angle: seen.append(angle))
    for text in (b"UXMP: -2", b"UYQP> +2"):
        model(input_ids=torch.tensor([list(text)]))
    steps, others = (angle[0, :, 0].diff(prepend=torch.zeros(1)) for angle in seen)
    same = torch.tensor([True, False, False, True, False, True, False, True])
    assert torch.allclose(steps[same], others[same], atol=1e-6)
    assert not torch.isclose(steps[~same], others[~same]).all()


@pytest.mark.parametrize("steps", [1, 2])
def test_the_count_turns_keys_and_queries(steps, seen):
    torch.manual_seed(0)
    layer = VscDeltaLayer(VscDeltaConfig(num_counters=3, key_dim=4, num_householder=steps))
    x, embeds, keep = torch.randn(2, 6, 32), torch.randn(2, 6, 32), torch.tensor([[5, 1], [0, 3]])
    angles = layer.counter(embeds, None)
    layer(x, embeds, None, keep)
    layer.counter = None
    layer(x, embeds, None, keep)
    (q, k, *_), (q_plain, k_plain, *_) = seen
    assert angles.unique().numel() > 4

    def turned(vector, angle):
        first, second = vector[:2], vector[2:]
        spun = [torch.polar(torch.tensor(1.0), a) for a in angle]
        pairs = torch.stack([torch.complex(*p) for p in zip(first, second, strict=True)])
        pairs = pairs * torch.stack(spun)
        return torch.cat([pairs.real, pairs.imag])

    for row in range(2):
        for head in range(2):
            for t in range(6 * steps):
                wanted = turned(k_plain[row, head, t], angles[row, t // steps])
                assert torch.allclose(k[row, head, t], wanted, atol=1e-6)
            for w in range(2):
                wanted = turned(q_plain[row, head, w], angles[row, keep[row, w]])
                assert torch.allclose(q[row, head, w], wanted, atol=1e-6)
    assert torch.allclose(k, normalize(k, dim=-1))


def test_a_hole_of_padding_does_not_count_in_the_layer():
    torch.manual_seed(0)
    layer = VscDeltaLayer(VscDeltaConfig(num_counters=3, beta_clip_margin=0.05))
    x, embeds = torch.randn(1, 9, 32), torch.randn(1, 9, 32)
    real = torch.tensor([[True, True, True, False, False, True, True, True, True]])
    with_hole = layer(x, embeds, real, torch.tensor([[7, 8]]))
    without = layer(x[real][None], embeds[real][None], None, torch.tensor([[5, 6]]))
    assert torch.allclose(with_hole, without, atol=1e-6)
    assert layer.counter(embeds, real)[0, 5:].abs().min() > 0


@pytest.mark.parametrize("top", [1, 2])
@pytest.mark.parametrize(("margin", "ends"), [(0.0, (0.0067, 0.9933)), (0.05, (0.0, 1.0))])
def test_betas_end_at_one_or_two_and_reach_it_where_they_are_clipped(margin, ends, top, seen):
    config = VscDeltaConfig(beta_clip_margin=margin, allow_neg_eigval=top == 2)
    layer, betas = VscDeltaLayer(config), [top * end for end in ends]
    with torch.no_grad():
        layer.update.weight.zero_()
        layer.update.bias.view(2, -1)[:, -1] = torch.tensor([-1.25, 1.25])
    layer(torch.zeros(1, 4, 32), torch.zeros(1, 4, 32), None, None)
    found = seen[0][3][0, :, 0].tolist()
    assert found == (betas if margin else pytest.approx(betas, abs=1e-4))
