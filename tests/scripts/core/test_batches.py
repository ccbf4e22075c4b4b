"""What a model is given: the right labels count, and nothing else."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from scripts.core.batches import IGNORED, answer_positions, model_inputs
from scripts.core.inference import predict
from scripts.core.trace_labels import trace_labels
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from vsc_dataset import sample

CPU = torch.device("cpu")


class Echo(nn.Module):
    """Answers with fixed bytes; takes no logits_to_keep."""

    def __init__(self, answers_NxL):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.answers = torch.from_numpy(answers_NxL.astype(np.int64))

    def forward(self, input_ids):
        return nn.functional.one_hot(self.answers[: len(input_ids)], 256).float()


@pytest.mark.parametrize("loss", ["answer", "all"])
def test_padding_and_what_the_loss_leaves_out_are_ignored(loss):
    examples = sample("default", "train", range(200))
    labels = model_inputs(Echo(examples.labels), examples, loss, CPU)[1].numpy()
    for row in range(200):
        prompt = len(examples.questions()[row]) + 1
        end = prompt + 5
        first = prompt if loss == "answer" else 0
        assert (labels[row, first:end] == examples.labels[row, first:end]).all()
        assert (labels[row, :first] == IGNORED).all()
        assert (labels[row, end:] == IGNORED).all()


def test_a_loss_over_the_trace_asks_every_model_for_its_letters():
    examples = sample("default", "train", range(50))
    ours = build_model(find_recipe("default-delta"))
    for model in (Echo(examples.labels), ours):
        inputs, labels = model_inputs(model, examples, "trace", CPU)
        assert "logits_to_keep" not in inputs
        assert (labels.numpy() == trace_labels(examples, IGNORED)).all()


def test_the_answer_is_never_in_the_input():
    examples = sample("default", "train", range(200))
    input_ids = model_inputs(Echo(examples.labels), examples, "all", CPU)[0]["input_ids"]
    assert (input_ids.gather(1, answer_positions(examples)) == 0).all()
    assert (input_ids == 0).sum() == 200 * 5


def test_predictions_are_read_from_the_answer_field():
    examples = sample("default-spaced", "test", range(300))
    assert predict(Echo(examples.labels), examples, batch_size=300).answers == examples.answers()
    wrong = examples.labels.copy()
    wrong[7][examples.answer_mask[7]] = ord("?")
    answers = predict(Echo(wrong), examples, batch_size=300).answers
    assert [
        i for i, (a, b) in enumerate(zip(answers, examples.answers(), strict=True)) if a != b
    ] == [7]


def test_predicting_in_batches_changes_nothing():
    torch.manual_seed(0)
    model = build_model(find_recipe("swap-delta"))
    examples = sample("swap-nops1-5", "validation", range(70))
    whole, parts = (predict(model, examples, batch_size=size) for size in (70, 16))
    assert whole.answers == parts.answers
    assert whole.loss == pytest.approx(parts.loss, rel=1e-5)
    assert model.training


@pytest.mark.parametrize("recipe", ["zoo-llama", "swap-delta"])
@pytest.mark.parametrize(
    "wrap", [partial(torch.compile, backend="eager"), nn.DataParallel], ids=["compile", "parallel"]
)
def test_a_wrapped_model_is_given_what_it_takes_bare(recipe, wrap):
    torch.manual_seed(0)
    model = build_model(find_recipe(recipe)).eval()
    examples = sample("swap-nops1-5", "validation", range(4))
    bare, wrapped = (model_inputs(m, examples, "answer", CPU)[0] for m in (model, wrap(model)))
    assert bare.keys() == wrapped.keys()
    assert {"attention_mask", "use_cache"} <= bare.keys() or "logits_to_keep" in bare


def test_a_part_that_is_called_module_is_not_taken_for_the_model():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 2)

        def forward(self, input_ids, attention_mask):
            return self.module(input_ids)

    examples = sample("swap-nops1-5", "validation", range(4))
    assert "attention_mask" in model_inputs(Whole(), examples, "answer", CPU)[0]
