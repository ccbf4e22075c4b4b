"""Predictions are read from the answer field, whatever the batch, and memory is bounded."""

import pytest
import torch

from scripts.core.inference import BATCH_BYTES, BATCH_SQUARES, max_rows, measure, predict
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from tests.scripts.core.test_batches import Echo
from tests.scripts.evaluation.solver import Solver
from vsc_dataset import sample
from vsc_dataset.configs import make_config


def test_predictions_are_read_from_the_answer_field():
    examples = sample("default-spaced", "test", range(300))
    assert predict(Echo(examples.labels), examples, batch_size=300).answers == examples.answers()
    wrong = examples.labels.copy()
    wrong[7][examples.answer_mask[7]] = ord("?")
    answers = predict(Echo(wrong), examples, batch_size=300).answers
    assert [
        i for i, (a, b) in enumerate(zip(answers, examples.answers(), strict=True)) if a != b
    ] == [7]


def test_the_batch_size_changes_no_figure():
    torch.manual_seed(0)
    model = build_model(find_recipe("swap-delta"))
    examples = sample("swap-nops1-5", "validation", range(70))
    whole, parts = (predict(model, examples, batch_size=size) for size in (70, 16))
    assert whole.answers == parts.answers
    assert whole.loss == pytest.approx(parts.loss, rel=1e-5)
    assert model.training
    whole, parts = (measure(model, examples, batch_size=size) for size in (70, 16))
    assert whole.predictions == parts.predictions
    assert whole.rates == parts.rates
    assert whole.seconds > 0


def test_memory_is_bounded_for_long_rows():
    sizes = []

    class Counting(Solver):
        def forward(self, input_ids):
            sizes.append(tuple(input_ids.shape))
            return super().forward(input_ids)

    examples = sample(make_config("grid-len5", grid_nops=[1024]), "nops1024", range(7))
    assert predict(Counting(), examples).answers == examples.answers()
    assert [rows for rows, _ in sizes] == [3, 3, 1]
    predict(Counting(), examples, batch_size=2)
    assert [rows for rows, _ in sizes[3:]] == [2, 2, 2, 1]
    for width in (1, 31, 500, 4107, 40_000):
        rows = max_rows(width, 1000)
        assert rows == 1 or (rows * width <= BATCH_BYTES and rows * width**2 <= BATCH_SQUARES)
