"""Our Mamba equals transformers', the scan equals its recurrence, forward and backward."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.autograd import gradcheck
from transformers import MambaConfig, MambaForCausalLM

from tests.vsc_models.models import model_of
from vsc_models import VscMambaConfig, VscMambaForMaskedLM
from vsc_models.selective_scan import selective_scan

IDS = torch.randint(1, 256, (3, 31), generator=torch.Generator().manual_seed(4))


def recurrence(x, step, a, b, c):
    """The twin of selective_scan, one row and one time after the other."""
    rows = []
    for row in range(x.shape[1]):
        state, reads = torch.zeros_like(a), []
        for t in range(x.shape[0]):
            drive = torch.outer(step[t, row] * x[t, row], b[t, row])
            state = torch.exp(step[t, row, :, None] * a) * state + drive
            reads.append(state @ c[t, row])
        rows.append(torch.stack(reads))
    return torch.stack(rows, dim=1)


def inputs(length=9, batch=5, inner=6, states=4, dtype=torch.float32):
    bits = torch.Generator().manual_seed(0)
    x, b, c = (
        torch.randn(length, batch, size, generator=bits, dtype=dtype)
        for size in (inner, states, states)
    )
    step = torch.rand(length, batch, inner, generator=bits, dtype=dtype)
    a = -3 * torch.rand(inner, states, generator=bits, dtype=dtype)
    return [tensor.requires_grad_() for tensor in (x, step, a, b, c)]


def our_name(name):
    """The name of a weight of MambaForCausalLM in ours."""
    return name.replace("backbone.", "model.").replace("embeddings", "embed_tokens")


@pytest.fixture(name="twins", scope="module")
def fixture_twins():
    """The article's Mamba of transformers, all weights moved, and ours with the same weights."""
    torch.manual_seed(1)
    config = MambaConfig(
        vocab_size=256, hidden_size=32, state_size=16, num_hidden_layers=6, use_cache=False
    )
    theirs, ours = MambaForCausalLM(config), VscMambaForMaskedLM(VscMambaConfig())
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.add_(torch.randn_like(weight) / 20)
    ours.load_state_dict({our_name(n): w for n, w in theirs.state_dict().items()})
    return ours, theirs


def test_logits_and_gradients_are_those_of_transformers(twins):
    ours, theirs = twins
    logits, truth = (model(input_ids=IDS).logits for model in twins)
    assert torch.allclose(logits, truth, rtol=1e-5, atol=1e-5)
    direction = torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    for model, output in ((ours, logits), (theirs, truth)):
        model.zero_grad()
        output.backward(direction)
    for name, weight in theirs.named_parameters():
        mine = ours.get_parameter(our_name(name)).grad
        assert (mine - weight.grad).abs().max() <= 1e-5 * weight.grad.abs().max(), name


def test_initial_decays_and_steps_are_those_of_transformers(twins):
    ours, theirs = model_of("mamba"), MambaForCausalLM(twins[1].config)
    for mine, other in zip(ours.model.layers, theirs.backbone.layers, strict=False):
        assert torch.equal(mine.mixer.A_log, other.mixer.A_log)
        assert torch.equal(mine.mixer.D, other.mixer.D)
        assert 0.9 / 2**0.5 < mine.mixer.dt_proj.weight.abs().max() <= 1 / 2**0.5
        for bias in (mine.mixer.dt_proj.bias, other.mixer.dt_proj.bias):
            step = torch.nn.functional.softplus(bias)
            assert 0.00099 < step.min() < 0.003
            assert 0.05 < step.max() < 0.101


@pytest.mark.parametrize("block", [1, 500, 2**19], ids=["row", "two rows", "all rows"])
def test_scan_agrees_with_the_recurrence(block, monkeypatch):
    for name in ("_BLOCK", "_SHARED_BLOCK"):
        monkeypatch.setattr(f"vsc_models.selective_scan.{name}", block)
    tensors = inputs()
    ours, truth = selective_scan(*tensors), recurrence(*tensors)
    assert torch.allclose(ours, truth, rtol=1e-5, atol=1e-5)
    direction = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    gradients = (torch.autograd.grad(y, tensors, direction) for y in (ours, truth))
    for gradient, true in zip(*gradients, strict=True):
        assert torch.allclose(gradient, true, rtol=1e-5, atol=1e-5)


def test_scan_has_the_derivative_of_its_values():
    tensors = inputs(length=4, batch=2, inner=3, states=2, dtype=torch.float64)
    assert gradcheck(selective_scan, tensors)


def test_one_time_is_enough():
    tensors = inputs(length=1)
    ours = selective_scan(*tensors)
    assert torch.allclose(ours, recurrence(*tensors), atol=1e-6)
    ours.sum().backward()
    assert not tensors[2].grad.any()


def test_strong_decay_stays_finite():
    x, step, a, b, c = inputs(length=200)
    y = selective_scan(x, 50 * step, 10 * a, b, c)
    y.sum().backward()
    assert y.isfinite().all()
    assert all(tensor.grad.isfinite().all() for tensor in (x, step, a, b, c))


def test_a_result_survives_the_next_scan():
    tensors = inputs()
    first = selective_scan(*tensors)
    kept = first.detach().clone()
    selective_scan(*inputs(length=12))
    gradients = torch.autograd.grad(first.sum(), tensors)
    assert torch.equal(first, kept)
    truth = torch.autograd.grad(recurrence(*tensors).sum(), tensors)
    for gradient, true in zip(gradients, truth, strict=True):
        assert torch.allclose(gradient, true, rtol=1e-5, atol=1e-5)


def test_autocast_keeps_the_scan_in_float32():
    tensors = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        inside = selective_scan(*tensors)
    assert torch.equal(inside, selective_scan(*tensors))


def test_rows_shorter_than_the_convolution_are_read():
    model = model_of("mamba")
    short = model(input_ids=IDS[:, :2]).logits
    assert torch.allclose(short, model(input_ids=IDS).logits[:, :2], atol=1e-5)


def in_fresh_thread(function):
    """Run a function where no call before has left buffers: each thread has its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_after_inference_mode_a_model_can_be_trained():
    model = VscMambaForMaskedLM(VscMambaConfig(hidden_size=8, num_layers=1))
    ids = torch.zeros(2, 9, dtype=torch.long)

    def evaluate_and_train():
        with torch.inference_mode():
            evaluated = model(input_ids=ids).logits
        trained = model(input_ids=ids, labels=ids)
        trained.loss.backward()
        return evaluated, trained.logits

    assert torch.equal(*in_fresh_thread(evaluate_and_train))


# What torch's own compiler does with any autograd function.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_exported_or_compiled_its_numbers_stay_what_they_are():
    model = VscMambaForMaskedLM(VscMambaConfig(hidden_size=8, num_layers=1)).eval()
    ids = torch.full((2, 9), 65)
    with torch.no_grad():
        before = model(input_ids=ids).logits

    def export_and_compile():
        exported = torch.export.export(model, (), {"input_ids": ids}).module()
        compiled = torch.compile(model, backend="eager")
        with torch.no_grad():
            return [again(input_ids=ids).logits for again in (model, exported, compiled)]

    for logits in in_fresh_thread(export_and_compile):
        assert torch.allclose(logits, before, atol=1e-6)


def test_a_function_that_uses_the_models_can_be_hashed_for_the_cache_of_a_map():
    """dill writes modules that lie in a clone by their contents."""
    from datasets.fingerprint import Hasher

    import vsc_models

    def count(row):
        return {"size": vsc_models.VscMambaConfig().hidden_size, **row}

    assert Hasher.hash(count) == Hasher.hash(count)
