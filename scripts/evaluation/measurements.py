"""A model and questions -> error rates, loss and the answers themselves."""

from typing import Any, NamedTuple

from torch import nn

from scripts.evaluation.predictions import predict
from vsc_dataset import Examples
from vsc_dataset.metrics.vsc_error.error_rates import error_rates


class Measurement(NamedTuple):
    """What a model makes of N questions: `error_rates` by nops and length, loss, the texts."""

    rates: dict[str, Any]
    loss: float
    questions: list[str]
    references: list[str]
    predictions: list[str]


def measure(model: nn.Module, examples: Examples, loss: str = "answer") -> Measurement:
    """Ask the model all questions; see `predict` and `error_rates`."""
    predictions = predict(model, examples, loss)
    questions, references = examples.questions(), examples.answers()
    width = int(examples.answer_mask[0].sum())
    rates = error_rates(predictions.answers, references, questions, width)
    return Measurement(rates, predictions.loss, questions, references, predictions.answers)
