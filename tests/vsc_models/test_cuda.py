"""Every model on a GPU equals itself on the CPU; without a GPU these tests skip and say so."""

import copy

import pytest
import torch

from tests.vsc_models.models import MODELS, model_of
from tests.vsc_models.questions import rows

DEVICE = "cuda"

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: not compared to it"),
    pytest.mark.parametrize("hidden", [True, False], ids=["padding hidden", "padding shown"]),
    pytest.mark.parametrize("name", MODELS),
]


@pytest.fixture(autouse=True)
def fixture_full_precision():
    """Convolutions in float32 proper: by default cuDNN rounds their inputs to ten bits."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def step(model, device):
    """Logits, loss and all gradients of one step, on the CPU and in float32."""
    ids, keep = rows()
    labels = ids.masked_fill(ids == 0, 65)
    on_device = {"input_ids": ids, "labels": labels, "answer_positions": keep}
    model = copy.deepcopy(model).to(device).train()
    output = model(**{key: tensor.to(device) for key, tensor in on_device.items()})
    output.loss.backward()
    gradients = [weight.grad.flatten() for weight in model.parameters()]
    assert output.logits.device.type == device
    return [x.detach().float().cpu() for x in (output.logits, output.loss, torch.cat(gradients))]


def error(found, truth):
    """The norm of the difference, in norms of the truth."""
    return ((found - truth).norm() / truth.norm()).item()


def test_float32_is_that_of_the_cpu(name, hidden):
    model = model_of(name, mask_padding=hidden)
    for found, truth in zip(step(model, DEVICE), step(model, "cpu"), strict=True):
        assert error(found, truth) <= 1e-5


def test_bfloat16_is_within_two_percent_of_float32_on_the_cpu(name, hidden):
    model = model_of(name, mask_padding=hidden)
    logits, loss, gradients = step(model.bfloat16(), DEVICE)
    true_logits, true_loss, true_gradients = step(model_of(name, mask_padding=hidden), "cpu")
    assert error(logits, true_logits) <= 2e-2
    assert error(loss, true_loss) <= 2e-2
    assert error(gradients, true_gradients) <= 0.1  # each weight's is rounded several times
