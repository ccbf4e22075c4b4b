"""The LSTM runs left to right, layer on layer, as torch's does."""

import torch

from tests.vsc_models.models import model_of


def test_it_is_torchs_lstm_under_a_tied_output():
    model, ids = model_of("lstm"), torch.randint(1, 256, (2, 31))
    embedding = model.model.embed_tokens
    states, _ = model.model.lstm(embedding(ids))
    truth = states @ embedding.weight.T
    assert torch.allclose(model(input_ids=ids).logits, truth, atol=1e-6)


def test_initialization_is_torchs_own():
    for weight in model_of("lstm").model.lstm.parameters():
        assert 0.9 / 32**0.5 < weight.abs().max() <= 1 / 32**0.5
