"""The LSTM runs left to right, layer on layer, and says what is wrong."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from tests.vsc_models.models import model_of
from vsc_models import VscLstmConfig


def test_it_is_torchs_lstm_under_a_tied_output():
    model, ids = model_of("lstm"), torch.randint(1, 256, (2, 31))
    embedding = model.model.embed_tokens
    states, _ = model.model.lstm(embedding(ids))
    truth = states @ embedding.weight.T
    assert torch.allclose(model(input_ids=ids).logits, truth, atol=1e-6)


def test_initialization_is_torchs_own():
    for weight in model_of("lstm").model.lstm.parameters():
        assert 0.9 / 32**0.5 < weight.abs().max() <= 1 / 32**0.5


def test_impossible_values_are_named():
    with pytest.raises(StrictDataclassError, match="num_layers=0 is out of range"):
        VscLstmConfig(num_layers=0)


def test_near_misses_are_refused_with_the_right_name():
    with pytest.raises(ValueError, match="no field 'num_layer': did you mean 'num_layers'"):
        VscLstmConfig(num_layer=1)
