"""Evaluate a model on samples: its answers, its loss and its error rates."""

import time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from scripts.core.batches import logits_of, loss_of, model_inputs, predicting_positions
from vsc_dataset import Examples
from vsc_dataset.encoding import decode_answers
from vsc_dataset.metrics.vsc_error.error_rates import error_rates

BATCH_SIZE = 1000

BATCH_BYTES = 2**15
"""Positions of one forward call, samples times row: about 1,000 rows of the trained size. Larger
batches of long rows are slower on a CPU, and another model's logits take 1 KiB a position."""

BATCH_SQUARES = 2**26
"""Pairs of positions in one forward call: attention that writes all of them down takes 256 MiB for
each head of a layer. One row always runs, so a row of 8,192 bytes is the last within it."""


class Predictions(NamedTuple):
    """The texts that a model wrote into the answer fields, its mean loss in nats, and the time."""

    answers: list[str]
    loss: float
    seconds: float


class Measurement(NamedTuple):
    """The result on N samples: `error_rates` by nops and length, loss, the texts.

    `seconds` is the time of the forward calls, without drawing samples and counting errors.
    """

    rates: dict[str, Any]
    loss: float
    questions: list[str]
    references: list[str]
    predictions: list[str]
    seconds: float | None = None


@torch.no_grad()
def predict(
    model: nn.Module,
    samples: Examples,
    loss: str = "answer",
    batch_size: int = BATCH_SIZE,
    progress: str | None = None,
) -> Predictions:
    """Evaluate a model on samples in one pass, without generation.

    A model of next tokens reads the true answer: greedy decoding gives the same answer exactly
    where every place is right given the right places before it.

    Args:
      model: see `model_inputs`; left in the mode in which it came.
      samples: N of them, at least one.
      loss: what the loss counts, see `model_inputs`.
      batch_size: samples of one forward call at most; fewer of long rows, see `max_rows`.
      progress: the label of a progress bar on a terminal; None shows none.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    blocks, losses, started = [], [], time.perf_counter()
    rows = max_rows(samples.labels.shape[1], batch_size)
    hidden = True if progress is None else None  # None: hidden where there is no terminal
    with tqdm(total=len(samples), desc=progress, unit="samples", disable=hidden) as bar:
        for start in range(0, len(samples), rows):
            batch = samples[start : start + rows]
            inputs, labels = model_inputs(model, batch, loss, device)
            logits = logits_of(model, inputs, batch.vocab_size)
            losses.append(loss_of(logits, labels).item() * len(batch))
            if "answer_positions" not in inputs:
                positions = predicting_positions(model, batch).to(device)[:, :, None]
                logits = logits.gather(1, positions.expand(-1, -1, logits.shape[-1]))
            blocks.append(logits.argmax(-1).cpu().numpy().astype(samples.labels.dtype))
            bar.update(len(batch))
    model.train(training)
    seconds = time.perf_counter() - started
    answers = decode_answers(np.concatenate(blocks), samples.layout)
    return Predictions(answers, sum(losses) / len(samples), seconds)


def measure(
    model: nn.Module,
    samples: Examples,
    loss: str = "answer",
    batch_size: int = BATCH_SIZE,
    progress: str | None = None,
) -> Measurement:
    """Evaluate a model on samples and count its errors; see `predict` and `error_rates`."""
    answers, mean, seconds = predict(model, samples, loss, batch_size, progress)
    questions, references = samples.questions(), samples.answers()
    width = int(samples.answer_mask[0].sum())
    rates = error_rates(answers, references, questions, width)
    return Measurement(rates, mean, questions, references, answers, seconds)


def max_rows(width: int, batch_size: int) -> int:
    """Return the samples of one forward call, so that memory does not grow with a row's length.

    >>> max_rows(31, 1000), max_rows(31, 64), max_rows(4107, 1000)
    (1000, 64, 3)
    """
    return max(1, min(batch_size, BATCH_BYTES // width, BATCH_SQUARES // width**2))
