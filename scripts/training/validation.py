"""Measure a model with all processes, each on its share of the samples."""

from math import nan

from torch import nn

from scripts.core.inference import Measurement, Predictions, count_errors, measure, predict
from scripts.training.distributed import Accelerator, gather
from vsc_dataset import Samples


def measure_shared(
    model: nn.Module,
    samples: Samples,
    loss: str,
    accelerator: Accelerator,
    progress: str | None = None,
) -> Measurement:
    """`measure`, every sample evaluated once by one of the processes; all have the same result.

    `model` is not wrapped: a DistributedDataParallel would wait in each forward call for processes
    that have fewer samples. `progress` is the label of the main process's progress bar.
    """
    count = accelerator.num_processes
    progress = progress if accelerator.is_main_process else None
    if count == 1:
        return measure(model, samples, loss, progress=progress)
    share = samples[accelerator.process_index :: count]
    predicted = predict(model, share, loss, progress=progress) if len(share) else None
    shares = [one for one in gather(predicted) if one]
    answers = [""] * len(samples)
    for rank, one in enumerate(shares):  # only the last processes can have none
        answers[rank::count] = one.answers
    labels = sum(one.labels for one in shares)
    mean = sum(one.loss * one.labels for one in shares) / labels
    wrong_pct = None
    if shares[0].scratchpad_error_pct is not None:
        wrong = sum((one.scratchpad_error_pct or 0.0) * len(one.answers) for one in shares)
        wrong_pct = wrong / len(samples)
    combined = Predictions(answers, mean, labels, nan, wrong_pct)
    return count_errors(samples, combined)
