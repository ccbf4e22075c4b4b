"""Predictions are read from the answer field, whatever the batch, and memory is bounded."""

import pytest
import torch

from scripts.core import inference
from scripts.core.inference import measure, predict
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from tests.scripts.core.test_batches import Echo
from tests.scripts.evaluation.solver import Solver
from vsc_dataset import sample
from vsc_dataset.configs import make_config


def test_predictions_are_read_from_the_answer_field():
    examples = sample("default-spaced", "test", range(300))
    assert predict(Echo(examples.labels), examples).answers == examples.answers()
    wrong = examples.labels.copy()
    wrong[7][examples.answer_mask[7]] = ord("?")
    answers = predict(Echo(wrong), examples).answers
    pairs = zip(answers, examples.answers(), strict=True)
    assert [i for i, (answer, true) in enumerate(pairs) if answer != true] == [7]


def test_samples_whose_logits_are_nan_count_as_wrong_and_are_counted(capsys):
    """An argmax of NaN is an id like any other: where the last one is NaN, it is the letter's."""

    class Failing(Echo):
        def forward(self, input_ids):
            logits = super().forward(input_ids)
            return logits.where(logits < logits.amax(-1, keepdim=True), torch.nan)

    examples = sample("default", "test", range(20))
    measured = measure(Failing(examples.labels), examples)
    assert measured.rates["sample_error_pct"] == 100
    assert "the model's logits are NaN in 20 of 20 samples: these count as wrong" in (
        capsys.readouterr().err
    )
    measure(Echo(examples.labels), examples)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("loss", ["answer", "all", "targets"])
def test_the_batch_size_changes_no_figure(monkeypatch, loss):
    torch.manual_seed(0)
    model = build_model(find_recipe("swap-delta"))
    examples = sample("default", "validation", range(70), targets=True)
    whole = measure(model, examples, loss)
    monkeypatch.setattr(inference, "BATCH_SIZE", 16)
    parts = measure(model, examples, loss)
    assert model.training
    assert (whole.predictions, whole.rates) == (parts.predictions, parts.rates)
    assert whole.loss == pytest.approx(parts.loss, rel=1e-5)
    assert whole.seconds > 0


def test_memory_is_bounded_for_long_rows():
    sizes = []

    class Counting(Solver):
        def forward(self, input_ids):
            sizes.append(len(input_ids))
            return super().forward(input_ids)

    examples = sample(make_config("grid-len5", grid_nops=[1024]), "nops1024", range(7))
    assert predict(Counting(), examples).answers == examples.answers()
    assert sizes == [3, 3, 1]
    for width in (1, 31, 500, 4107, 40_000):
        rows = inference.max_rows(width)
        within = (
            rows * width <= inference.BATCH_POSITIONS,
            rows * width**2 <= inference.BATCH_SQUARES,
        )
        assert rows == 1 or all(within)
