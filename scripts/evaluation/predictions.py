"""A model and questions -> its answers and its loss."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from scripts.evaluation.inputs import answer_positions, logits_of, loss_of, model_inputs
from vsc_dataset import Examples
from vsc_dataset.encoding import decode_answers


class Predictions(NamedTuple):
    """The texts that a model wrote into the answer fields, and its mean loss in nats."""

    answers: list[str]
    loss: float


@torch.no_grad()
def predict(
    model: nn.Module, examples: Examples, loss: str = "answer", batch_size: int = 1000
) -> Predictions:
    """Ask a model all questions at once: byte i is read at position i, there is no generation.

    Args:
      model: see `model_inputs`; left in the mode in which it came.
      examples: N questions, at least one.
      loss: what the loss counts, "answer" or "all".
      batch_size: questions of one forward call.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    blocks, losses = [], []
    for start in range(0, len(examples), batch_size):
        batch = examples[start : start + batch_size]
        inputs, labels = model_inputs(model, batch, loss, device)
        logits = logits_of(model, inputs)
        losses.append(loss_of(logits, labels).item() * len(batch))
        if "logits_to_keep" not in inputs:
            places = answer_positions(batch).to(device)[:, :, None]
            logits = logits.gather(1, places.expand(-1, -1, logits.shape[-1]))
        blocks.append(logits.argmax(-1).to(torch.uint8).cpu().numpy())
    model.train(training)
    return Predictions(decode_answers(np.concatenate(blocks)), sum(losses) / len(examples))
