"""What a model is given: the right labels count, and nothing else."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from transformers.modeling_outputs import MaskedLMOutput

from scripts.core.batches import (
    IGNORED,
    answer_positions,
    dense_labels,
    logits_of,
    model_inputs,
)
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from vsc_dataset import parse, sample

CPU = torch.device("cpu")


class Echo(nn.Module):
    """Answers with fixed bytes; takes no answer_positions."""

    def __init__(self, answers_NxL):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.answers = torch.from_numpy(answers_NxL.astype(np.int64))

    def forward(self, input_ids):
        return nn.functional.one_hot(self.answers[: len(input_ids)], 256).float()


@pytest.mark.parametrize("loss", ["answer", "all"])
def test_padding_and_what_the_loss_omits_are_ignored(loss):
    examples = sample("default", "train", range(200))
    labels = model_inputs(Echo(examples.labels), examples, loss, CPU)[1].numpy()
    for row in range(200):
        prompt = len(examples.questions()[row]) + 1
        end = prompt + 5
        first = prompt if loss == "answer" else 0
        assert (labels[row, first:end] == examples.labels[row, first:end]).all()
        assert (labels[row, :first] == IGNORED).all()
        assert (labels[row, end:] == IGNORED).all()


def test_a_loss_over_the_trace_counts_the_answer_and_the_dense_targets_for_every_model():
    examples = sample("default", "train", range(200), targets=True)
    targets = examples.targets.astype(np.int64)
    dense = np.where(targets, targets, IGNORED)
    expected = np.where(examples.answer_mask, examples.labels, dense)
    assert (dense_labels(examples) == expected).all()
    slow = sample("default", "train", range(200))
    for model in (Echo(examples.labels), build_model(find_recipe("default-delta"))):
        inputs, labels = model_inputs(model, slow, "targets", CPU)
        assert "answer_positions" not in inputs
        assert (labels.numpy() == expected).all()


def test_the_answer_is_never_in_the_input():
    examples = sample("default", "train", range(200))
    input_ids = model_inputs(Echo(examples.labels), examples, "all", CPU)[0]["input_ids"]
    assert (input_ids.gather(1, answer_positions(examples)) == 0).all()
    assert (input_ids == 0).sum() == 200 * 5


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
    assert {"attention_mask", "use_cache"} <= bare.keys() or "answer_positions" in bare


def test_a_part_that_is_called_module_is_not_taken_for_the_model():
    model = nn.Linear(2, 2)
    model.module = nn.Linear(2, 2)
    model.forward = lambda input_ids, attention_mask: input_ids
    examples = sample("swap-nops1-5", "validation", range(4))
    assert "attention_mask" in model_inputs(model, examples, "answer", CPU)[0]


@pytest.mark.parametrize("config", ["default", "default-spaced", "level-8"])
def test_an_answer_can_be_rebuilt_from_the_dense_targets(config):
    """Letters put where their labels say give every step of the trace, so all are right."""
    samples = sample(config, "train", range(300), targets=True)
    for question, row in zip(samples.questions(), samples.targets, strict=True):
        program = parse(question)
        targets = {int(at): chr(row[at]) for at in row.nonzero()[0]}
        cells, stack = list(program.letters), []
        end = 0
        for operation, after in zip(program.operations, program.trace, strict=True):
            text = str(operation)
            end = question.index(text, max(end, question.index(":"))) + len(text)
            letter = targets.pop(end - 1)
            if operation.kind == ">":
                cells[operation.y - 1], cells[operation.x - 1] = letter, targets.pop(end)
            elif operation.kind == "-":
                assert cells.pop(operation.x - 1) == letter
                stack.append(letter)
            else:
                assert stack.pop() == letter
                cells.insert(operation.x - 1, letter)
            assert "".join(cells) == after
        assert not targets


@pytest.mark.parametrize(
    "form",
    [
        lambda logits: logits,
        lambda logits: (logits, None),
        lambda logits: [logits],
        lambda logits: {"logits": logits},
        lambda logits: MaskedLMOutput(loss=logits.sum(), logits=logits),
    ],
)
def test_logits_are_taken_as_other_libraries_return_them(form):
    samples = sample("swap-nops2", "test", range(3))
    model = Echo(samples.labels)
    logits = model(torch.zeros(3, 1))
    model.forward = lambda input_ids: form(logits)
    inputs, _ = model_inputs(model, samples, "all", CPU)
    assert torch.equal(logits_of(model, inputs), logits)


@pytest.mark.parametrize(
    "outputs, words",
    [
        ({"out": 1}, r"a dict of \['out'\]: return a tensor"),
        ((), "returns no logits but a tuple"),
        ((None, 3), "returns no logits but a tuple"),
        (None, "returns no logits but a NoneType"),
        ((torch.zeros(3, 256), None), r"shape \(3, 256\), not \(3, 19, 256\)"),
    ],
)
def test_a_forward_without_logits_is_one_clear_line(outputs, words):
    samples = sample("swap-nops2", "test", range(3))
    model = Echo(samples.labels)
    model.forward = lambda input_ids: outputs
    inputs, _ = model_inputs(model, samples, "all", CPU)
    with pytest.raises(ValueError, match=words) as error:
        logits_of(model, inputs)
    assert "\n" not in str(error.value)
