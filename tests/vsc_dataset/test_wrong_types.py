"""Arguments of wrong types, drawn with a seed: each call works or ends in one line."""

import random

import numpy as np
import pytest

import vsc_dataset
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines
from vsc_dataset.torch_stream import Collator, TorchTrainingStream

STREAM = {"config": "default", "batch_size": 8, "seed": 0, "start": 0}
CALLS = {
    vsc_dataset.parse: {"question": "AB:1>2"},
    vsc_dataset.execute: {"question": "AB:1>2"},
    vsc_dataset.split_of: {"question": "AB:1>2"},
    vsc_dataset.score: {"question": "AB:1>2", "text": "BA"},
    vsc_dataset.Program: {"letters": "AB", "operations": (), "layout": "compact"},
    vsc_dataset.TaskConfig: {
        "length": 5, "nops": (1, 3), "operators": ">", "weights": None, "num_items": 26,
        "answer_width": None, "layout": "compact", "eval_nops": None, "grid_nops": (),
        "complete": False, "fixed_letters": False, "num_train": 10, "description": "",
    },
    vsc_dataset.sample: {
        "config": "default", "split": "train", "indices": 3, "seed": 0, "pad_to": None,
        "targets": False, "scratchpad": False,
    },
    vsc_dataset.TrainingStream: {
        **STREAM, "rank": 0, "world_size": 1, "every": 1, "targets": False, "scratchpad": False,
    },
    TorchTrainingStream: {**STREAM, "objective": "fill"},
    Collator: {"config": "default", "objective": "fill"},
    vsc_dataset.load: {
        "name": "default", "split": "test", "streaming": True, "seed": 0, "trace": False,
        "columns": "question-answer", "scratchpad": False, "only": ("test",), "num_proc": None,
    },
    error_rates: {
        "predictions": ["A"], "references": ["A"], "questions": ["A:"], "answer_width": None,
    },
    trivial_baselines: {"questions": ["AB:1>2"], "answer_width": None, "ks": [1]},
}  # fmt: skip
WRONG = [
    None, True, -1, 0, 2.5, float("nan"), float("inf"), 1 + 2j, 10**30, np.int64(3), "", "x",
    "\ud800", b"AB:1>2", [], [1, 2], ["a"], [None], (1,), (5, 2), {}, {"a": 1}, {1}, range(3),
    object(), int, len, np.array([1.5]), np.zeros((2, 2)), np.zeros((99, 9)),
]  # fmt: skip


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_arguments_of_wrong_types_end_in_one_line(count):
    rng, refused = random.Random(0), 0
    for _ in range(count):
        call, arguments = rng.choice(list(CALLS.items()))
        names = rng.sample(list(arguments), min(len(arguments), rng.choice([1, 2])))
        changed = {name: rng.choice(WRONG) for name in names}
        try:
            call(**{**arguments, **changed})
        except Exception as error:
            refused += 1
            is_clear = isinstance(error, ValueError) and len(str(error).splitlines()) == 1
            if not is_clear or len(str(error)) > 1000:
                raise AssertionError(f"{call.__name__} of {changed}") from error
    assert count / 2 < refused < count
