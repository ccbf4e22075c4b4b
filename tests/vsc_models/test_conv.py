"""Convolutions and attention do what the article's did."""

import pytest
import torch
from torch.nn.functional import gelu

from tests.vsc_models.models import model_of
from vsc_models import VscConvConfig, VscConvForMaskedLM
from vsc_models.dilated_conv import dilated_conv, make_conv


def test_a_layer_is_x_plus_gelu_of_its_convolution():
    model = model_of("conv", mask_padding=False).double()
    ids = torch.randint(1, 256, (2, 31))
    x = model.model.embed_tokens(ids).mT
    for layer in model.model.layers:
        x = x + gelu(layer.conv(x))
    assert torch.allclose(model(input_ids=ids).logits, model.lm_head(x.mT))


@pytest.mark.parametrize(
    ("length", "kernel", "dilation"), [(1, 1, 1), (1, 9, 5), (7, 3, 1), (9, 5, 3), (31, 9, 5)]
)
@pytest.mark.parametrize("causal", [False, True])
def test_a_dilated_convolution_and_its_gradients_are_torchs(length, kernel, dilation, causal):
    conv = make_conv(3, 4, kernel, dilation, causal=causal).double()
    x = torch.randn(length, 2, 3).double().requires_grad_()
    weights = torch.randn(length, 2, 4).double()

    def gradients(y):
        return torch.autograd.grad((y * weights).sum(), [x, conv.weight, conv.bias])

    ours, truth = dilated_conv(conv, x), conv(x.permute(1, 2, 0)).permute(2, 0, 1)
    for found, wanted in zip([ours, *gradients(ours)], [truth, *gradients(truth)], strict=True):
        assert torch.allclose(found, wanted)


def test_attention_agrees_with_torch():
    layer = model_of("attention").model.layers[1].double()
    with torch.no_grad():
        layer.attention.in_proj_bias.normal_()
        layer.attention.out_proj.bias.normal_()
    x, real = torch.randn(11, 2, 32).double(), torch.arange(11) < torch.tensor([[7], [11]])
    q, k, v = (part.permute(2, 0, 1) for part in layer.conv(x.permute(1, 2, 0)).chunk(3, dim=1))
    truth, _ = layer.attention(q, k, v, key_padding_mask=~real)
    assert torch.allclose(layer(x, real), gelu(truth))


def test_initialization_is_torchs_own():
    bound = (32 * 5) ** -0.5
    conv = model_of("conv").model.layers[0].conv
    attention = model_of("attention").model.layers[1].attention
    assert bound / 1.05 < conv.weight.abs().max() <= bound
    bound = (6 / (32 + 3 * 32)) ** 0.5
    assert bound / 1.05 < attention.in_proj_weight.abs().max() <= bound
    assert not attention.in_proj_bias.any()
    assert not attention.out_proj.bias.any()


@pytest.mark.parametrize("given, expected", [(None, 64**-0.5), (1.0, 1.0)])
def test_the_embedding_begins_as_large_as_the_configuration_says(given, expected):
    model = VscConvForMaskedLM(VscConvConfig(initializer_range=given))
    weights = model.model.embed_tokens.weight
    assert weights.std().item() == pytest.approx(expected, rel=0.05)
    assert model.lm_head.weight is weights
