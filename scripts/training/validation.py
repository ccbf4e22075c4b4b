"""Measure a model with all processes, each on its share of the samples."""

from typing import TYPE_CHECKING

from torch import nn

from scripts.core.inference import Measurement, measure, predict
from scripts.training.distributed import gather
from vsc_dataset import Examples
from vsc_dataset.metrics.vsc_error.error_rates import error_rates

if TYPE_CHECKING:
    from scripts.training.distributed import Accelerator


def measure_shared(
    model: nn.Module, examples: Examples, loss: str, accelerator: "Accelerator"
) -> Measurement:
    """`measure`, every question asked once by one of the processes.

    Args:
      model: the same in every process, and not wrapped: a DistributedDataParallel would wait in
        each forward call for processes that have fewer questions.
      examples: N questions, the same in every process.
      loss: what the loss counts, see `model_inputs`.
    Returns:
      The same in every process. The loss is the mean of the shares' means, by their questions.
    """
    count = accelerator.num_processes
    if count == 1:
        return measure(model, examples, loss)
    own = examples[accelerator.process_index :: count]
    found = predict(model, own, loss) if len(own) else None
    shares = gather(accelerator, (found.answers, found.loss * len(own)) if found else ([], 0.0))
    answers = [""] * len(examples)
    for rank, (texts, _) in enumerate(shares):
        answers[rank::count] = texts
    questions, references = examples.questions(), examples.answers()
    rates = error_rates(answers, references, questions, int(examples.answer_mask[0].sum()))
    mean = sum(total for _, total in shares) / len(examples)
    return Measurement(rates, mean, questions, references, answers)
