"""A model that sees what follows is told apart from a causal one, by what it does."""

import copy
import threading

import pytest
import torch
from torch import nn

from scripts.core import causality
from tests.vsc_models.models import CAUSAL, MODELS, model_of, other_model


def looks_ahead(model):
    return causality.find_lookahead_of_model(model, length=16)


class Convolution(nn.Module):
    """A user's model around one convolution; its output layer begins at zero."""

    def __init__(self, before, after):
        super().__init__()
        self.embedding = nn.Embedding(256, 8)
        self.pad = nn.ZeroPad1d((before, after))
        self.conv = nn.Conv1d(8, 8, before + after + 1)
        self.head = nn.Linear(8, 256)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        return self.head(self.conv(self.pad(self.embedding(x).mT)).mT)


@pytest.mark.parametrize(
    "model_type, sizes",
    [("gpt2", {}), ("mamba", {}), ("rwkv", {"num_hidden_layers": 2, "attention_hidden_size": 16})],
)
def test_causal_models_of_transformers_pass(model_type, sizes):
    assert looks_ahead(other_model(model_type, **sizes)) is None


@pytest.mark.parametrize("name", CAUSAL)
def test_our_causal_models_pass(name):
    assert looks_ahead(model_of(name)) is None


def test_bert_and_a_centered_convolution_are_refused():
    for name in MODELS.keys() - CAUSAL:
        assert looks_ahead(model_of(name)) == 0
    assert looks_ahead(other_model("bert")) == 0
    assert looks_ahead(Convolution(1, 1)) == 0
    assert looks_ahead(Convolution(2, 0)) is None


def test_a_layer_with_weights_of_its_own_precision_is_run_as_it_is():

    class Half(Convolution):
        def __init__(self, before, after):
            super().__init__(before, after)
            self.conv.bfloat16()

        def forward(self, x):
            mixed = self.conv(self.pad(self.embedding(x).mT).bfloat16())
            return self.head(mixed.mT.float())

    assert looks_ahead(Half(1, 1)) == 0
    assert looks_ahead(Half(2, 0)) is None


def test_the_first_position_that_looked_ahead_is_returned():
    class FromFive(Convolution):
        def forward(self, x):
            read = self.embedding(x)
            read[:, 5] += read[:, 9]
            return self.head(read)

    assert looks_ahead(FromFive(0, 0)) == 5


def test_a_model_that_keeps_a_state_between_calls_is_told_so():
    class Keeps(Convolution):
        state = 0

        def forward(self, x):
            self.state = self.state + self.embedding(x).mean()
            return super().forward(x) + self.state

    with pytest.raises(ValueError, match="other logits each time for the same row: let forward"):
        looks_ahead(Keeps(2, 0))


def test_a_model_that_cannot_be_copied_is_told_apart_too():
    model = Convolution(1, 1)
    model.lock = threading.Lock()
    assert looks_ahead(model) == 0


def test_trained_weights_and_the_random_state_stay_as_they_are():
    model = model_of("delta")
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    causality.find_lookahead_of_model(model, length=16, trained=True)
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])


@pytest.mark.parametrize("trained", [False, True])
def test_numbers_that_are_not_finite_are_told(trained):
    model = Convolution(2, 0)
    nn.init.constant_(model.head.bias, float("nan"))
    with pytest.raises(ValueError, match="gives NaN or infinity"):
        causality.find_lookahead_of_model(model, length=16, trained=trained)
