"""Measure evaluation by the number of operations: samples a CPU second, and memory at its peak.

The models are not trained: speed and memory do not depend on what a model has learned. One thread,
a few samples in one call, whatever their length: `evaluate.py` takes fewer at once of long rows.
"""

from functools import partial

import torch
from torch import nn

from scripts.benchmarks import best_seconds, peak_megabytes
from scripts.core.batches import logits_of, model_inputs
from vsc_dataset import sample
from vsc_dataset.configs import make_config
from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM, VscMixerConfig, VscMixerForMaskedLM

NOPS = (8, 32, 128, 512, 1024)
SAMPLES, ROUNDS = 4, 5


def make_models() -> dict[str, nn.Module]:
    """Make the delta-rule model, and its scaffold around a GRU and around attention."""
    layers = {"GRU": "torch.nn:GRU", "attention": "vsc_models.baselines:Attention"}
    others = {name: VscMixerForMaskedLM(VscMixerConfig(mixer=x)) for name, x in layers.items()}
    return {"delta rule": VscDeltaForMaskedLM(VscDeltaConfig()), **others}


@torch.inference_mode()
def _measure(nops: int) -> list[dict[str, float | str]]:
    """Measure every model on the same samples of a number of operations, in turns."""
    samples = sample(make_config("swap-nops2", nops=(nops, nops)), "test", range(SAMPLES))
    calls = {}
    for name, model in make_models().items():
        inputs, _ = model_inputs(model.eval(), samples, "answer", torch.device("cpu"))
        calls[name] = partial(logits_of, model, inputs)
    best_seconds(calls, 1)  # the first call sets up memory
    seconds = best_seconds(calls, ROUNDS)
    return [
        {
            "model": name,
            "nops": nops,
            "length": samples.labels.shape[1],
            "ms_per_sample": round(1e3 * seconds[name] / SAMPLES, 3),
            "mb_per_sample": round(peak_megabytes(call) / SAMPLES, 3),
        }
        for name, call in calls.items()
    ]


def measure() -> list[dict[str, float | str]]:
    """Measure every model at every number of operations."""
    torch.set_num_threads(1)
    return [line for nops in NOPS for line in _measure(nops)]
