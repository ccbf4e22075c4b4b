"""Measure a model with all processes, each on its share of the samples."""

from torch import nn

from scripts.core.inference import Measurement, measure, predict
from scripts.training.distributed import Accelerator, gather
from vsc_dataset import Examples
from vsc_dataset.metrics.vsc_error.error_rates import error_rates


def measure_shared(
    model: nn.Module,
    samples: Examples,
    loss: str,
    accelerator: Accelerator,
    progress: str | None = None,
) -> Measurement:
    """`measure`, every sample evaluated once by one of the processes; all have the same result.

    Args:
      model: the same in every process, and not wrapped: a DistributedDataParallel would wait in
        each forward call for processes that have fewer samples.
      samples: the same in every process.
      loss: what the loss counts, see `model_inputs`.
      progress: the label of a progress bar on the main process's terminal; None shows none.
    """
    count = accelerator.num_processes
    progress = progress if accelerator.is_main_process else None
    if count == 1:
        return measure(model, samples, loss, progress=progress)
    share = samples[accelerator.process_index :: count]
    predicted = predict(model, share, loss, progress=progress) if len(share) else None
    shares = gather(
        accelerator, (predicted.answers, predicted.loss * len(share)) if predicted else ([], 0.0)
    )
    answers = [""] * len(samples)
    for rank, (texts, _) in enumerate(shares):
        answers[rank::count] = texts
    questions, references = samples.questions(), samples.answers()
    rates = error_rates(answers, references, questions, int(samples.answer_mask[0].sum()))
    mean = sum(total for _, total in shares) / len(samples)
    return Measurement(rates, mean, questions, references, answers)
