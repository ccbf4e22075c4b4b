"""Evaluate a model on samples: its answers, its loss and its error rates."""

import math
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from scripts.core.batches import (
    call_arguments,
    logits_of,
    loss_of,
    model_inputs,
    predicting_positions,
)
from scripts.core.evaluation_format import format_of
from vsc_dataset import Samples
from vsc_dataset.encoding import decode_answers
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.vocabulary import IGNORED, MASK

BATCH_SIZE = 1000
"""Samples of one forward call at most."""

BATCH_POSITIONS = 2**15
"""Positions of one forward call, samples times row: about 1,000 rows of the trained size. Larger
batches of long rows are slower on a CPU, and another model's logits take 1 KiB a position."""

BATCH_SQUARES = 2**26
"""Pairs of positions in one forward call: attention that writes all of them down takes 256 MiB for
each head of a layer. One row always runs, so a row of 8,192 positions is the last within it."""


class Predictions(NamedTuple):
    """The likeliest texts in the answer fields, the mean loss in nats over labels, and the time.

    Those of a model of next tokens are what it predicts after the true ids before each place: where
    they are wrong, it would go on otherwise by itself. `scratchpad_error_pct` is the share of
    scratchpads with a mistake in a state or in the answer.
    """

    answers: list[str]
    loss: float
    labels: int = 0
    seconds: float = math.nan
    scratchpad_error_pct: float | None = None


class Measurement(NamedTuple):
    """The result on N samples: `error_rates` by nops and length, loss, the texts.

    `seconds` is the time of the forward calls, without drawing samples and counting errors.
    """

    rates: dict[str, Any]
    loss: float
    questions: list[str]
    references: list[str]
    predictions: list[str]
    seconds: float = math.nan


@torch.no_grad()
def predict(
    model: nn.Module, samples: Samples, loss: str = "answer", progress: str | None = None
) -> Predictions:
    """Evaluate a model on samples in one pass; scratchpads that are not right are decoded.

    A model of next tokens reads the true answer: greedy decoding gives the same answer exactly
    where every place is right given the right places before it. A wrong state may be followed by
    the right answer, so what stands after a mistake is decoded greedily.

    Args:
      model: see `model_inputs`; left in the mode in which it came.
      samples: N of them, at least one.
      loss: what the loss counts, see `model_inputs`.
      progress: the label of a progress bar on a terminal; None shows none.
    """
    training, has_states = model.training, format_of(model).objective == "scratchpad"
    model.eval()
    if has_states:
        samples = samples.with_scratchpads()
    blocks, losses, counts, wrong, undefined = [], list[float](), list[int](), 0, 0
    started = time.perf_counter()
    rows = max_rows(samples.labels.shape[1])
    hidden = True if progress is None else None  # None: hidden where there is no terminal
    with tqdm(total=len(samples), desc=progress, unit="samples", disable=hidden) as bar:
        for start in range(0, len(samples), rows):
            batch = samples[start : start + rows]
            ids, mean, count, is_nan_NxW = _predict_ids(model, batch, loss)
            undefined += int(is_nan_NxW.any(1).sum())
            if has_states:
                ids, is_wrong = complete(model, batch, ids)
                wrong += is_wrong
            blocks.append(ids.cpu().numpy().astype(samples.labels.dtype))
            losses.append(mean * count)
            counts.append(count)
            bar.update(len(batch))
    model.train(training)
    seconds = time.perf_counter() - started
    if undefined:
        words = f"the model's logits are NaN in {undefined:,} of {len(samples):,} samples"
        tqdm.write(f"{words}: these count as wrong", file=sys.stderr)
    answers = decode_answers(np.concatenate(blocks), samples.layout)
    error = 100 * wrong / len(samples) if has_states else None
    return Predictions(answers, sum(losses) / sum(counts), sum(counts), seconds, error)


def _predict_ids(
    model: nn.Module, samples: Samples, loss: str
) -> tuple[Tensor, float, int, Tensor]:
    """Predict the answer field (N, W), of scratchpads all (N, L).

    Returns:
      The likeliest ids, MASK where logits are NaN; the mean loss and over how many labels; where
      they are NaN.
    """
    inputs, labels = model_inputs(model, samples, loss, next(model.parameters()).device)
    logits = logits_of(model, inputs, samples.vocab_size)
    mean = loss_of(logits, labels).item()
    has_states = format_of(model).objective == "scratchpad"
    if "answer_positions" not in inputs and not has_states:
        positions = predicting_positions(model, samples).to(logits.device)[:, :, None]
        logits = logits.gather(1, positions.expand(-1, -1, logits.shape[-1]))
    highest, ids = logits.max(-1)  # NaN where any logit is
    is_nan = highest.isnan()
    if has_states:
        is_nan &= labels != IGNORED
    return ids.masked_fill(is_nan, MASK), mean, int((labels != IGNORED).sum()), is_nan


def complete(model: nn.Module, samples: Samples, predicted_NxL: Tensor) -> tuple[Tensor, int]:
    """Write scratchpads and answers greedily.

    Args:
      model: see `model_inputs`; of scratchpads.
      samples: N scratchpads.
      predicted_NxL: the likeliest id after each position, given the true ids up to it: what greedy
        decoding writes too, up to the first mistake.
    Returns:
      The ids of the answer fields (N, W), and how many scratchpads have a mistake.
    """
    device = predicted_NxL.device
    ids_NxL = torch.from_numpy(samples.labels.astype(np.int64)).to(device)
    is_written_NxL, is_answer_NxL = (
        torch.from_numpy(mask).to(device) for mask in (samples.completion_mask, samples.answer_mask)
    )
    wrong_NxL = is_written_NxL[:, 1:] & (predicted_NxL[:, :-1] != ids_NxL[:, 1:])
    row_M = wrong_NxL.any(1).nonzero().flatten()
    at_M = wrong_NxL[row_M].int().argmax(1) + 1  # a mistake; what follows it is decoded
    end_M = is_answer_NxL.shape[1] - is_answer_NxL[row_M].flip(1).int().argmax(1)
    wrong, next_M = len(row_M), predicted_NxL[row_M, at_M - 1]
    while len(row_M):
        ids_NxL[row_M, at_M] = next_M
        left = at_M + 1 < end_M
        row_M, at_M, end_M = row_M[left], at_M[left] + 1, end_M[left]
        if len(row_M):
            inputs = call_arguments(model, ids_NxL[row_M, : int(at_M.max())])
            logits = logits_of(model, inputs, samples.vocab_size)
            next_M = logits[torch.arange(len(row_M), device=device), at_M - 1].argmax(-1)
    return ids_NxL[is_answer_NxL].view(len(samples), -1), wrong


def measure(
    model: nn.Module, samples: Samples, loss: str = "answer", progress: str | None = None
) -> Measurement:
    """Evaluate a model on samples and count its errors; see `predict` and `error_rates`."""
    return count_errors(samples, predict(model, samples, loss, progress))


def count_errors(samples: Samples, predicted: Predictions) -> Measurement:
    """Count the errors of a model's answers to samples."""
    questions, references = samples.questions(), samples.answers()
    rates = error_rates(predicted.answers, references, questions, samples.answer_width)
    if predicted.scratchpad_error_pct is not None:
        rates["scratchpad_error_pct"] = predicted.scratchpad_error_pct
    mean, seconds = predicted.loss, predicted.seconds
    return Measurement(rates, mean, questions, references, predicted.answers, seconds)


def max_rows(width: int) -> int:
    """Return the samples of one forward call, so that memory does not grow with a row's length.

    >>> max_rows(31), max_rows(4107)
    (1000, 3)
    """
    return max(1, min(BATCH_SIZE, BATCH_POSITIONS // width, BATCH_SQUARES // width**2))
