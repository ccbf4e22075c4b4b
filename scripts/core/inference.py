"""A model and questions -> its answers and its loss."""

import time
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from scripts.core.batches import answer_positions, logits_of, loss_of, model_inputs
from vsc_dataset import Examples
from vsc_dataset.encoding import decode_answers

BATCH_SIZE = 1000

BATCH_BYTES = 2**15
"""Positions of one forward call, questions times row: about 1,000 rows of the trained size. Larger
batches of long rows are slower on a CPU, and a foreign model's logits take 1 KiB a position."""

BATCH_SQUARES = 2**26
"""Pairs of positions in one forward call: attention that writes all of them down takes 256 MiB for
each head of a layer. One row is always asked, so a row of 8,192 bytes is the last within it."""


class Predictions(NamedTuple):
    """The texts that a model wrote into the answer fields, its mean loss in nats, and the time."""

    answers: list[str]
    loss: float
    seconds: float


@torch.no_grad()
def predict(
    model: nn.Module, examples: Examples, loss: str = "answer", batch_size: int = BATCH_SIZE
) -> Predictions:
    """Ask a model questions: byte i is read at position i, there is no generation.

    Args:
      model: see `model_inputs`; left in the mode in which it came.
      examples: N questions, at least one.
      loss: what the loss counts, see `model_inputs`.
      batch_size: questions of one forward call at most; fewer of long rows, see `rows_at_once`.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    blocks, losses, started = [], [], time.perf_counter()
    rows = rows_at_once(examples.labels.shape[1], batch_size)
    for start in range(0, len(examples), rows):
        batch = examples[start : start + rows]
        inputs, labels = model_inputs(model, batch, loss, device)
        logits = logits_of(model, inputs)
        losses.append(loss_of(logits, labels).item() * len(batch))
        if "logits_to_keep" not in inputs:
            places = answer_positions(batch).to(device)[:, :, None]
            logits = logits.gather(1, places.expand(-1, -1, logits.shape[-1]))
        blocks.append(logits.argmax(-1).to(torch.uint8).cpu().numpy())
    model.train(training)
    seconds = time.perf_counter() - started
    answers = decode_answers(np.concatenate(blocks))
    return Predictions(answers, sum(losses) / len(examples), seconds)


def rows_at_once(width: int, batch_size: int) -> int:
    """Questions of one forward call, so that memory does not grow with the length of a row.

    >>> rows_at_once(31, 1000), rows_at_once(31, 64), rows_at_once(4107, 1000)
    (1000, 64, 3)
    """
    return max(1, min(batch_size, BATCH_BYTES // width, BATCH_SQUARES // width**2))
