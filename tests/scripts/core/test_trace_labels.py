"""Dense supervision asks for what the operations do, and for nothing else."""

import pytest

from scripts.core.trace_labels import asked_places, trace_labels
from vsc_dataset import parse, sample


@pytest.mark.parametrize("config", ["default", "default-spaced", "level-8"])
def test_an_answer_can_be_rebuilt_from_the_letters_that_each_operation_is_asked_for(config):
    """Letters put where their labels say give every step of the trace, so all are right."""
    for question in sample(config, "train", range(300)).questions():
        program = parse(question)
        asked, cells, stack = dict(asked_places(program)), list(program.letters), []
        end = 0
        for operation, after in zip(program.operations, program.trace, strict=True):
            end = question.index(str(operation), max(end, question.index(":"))) + len(
                str(operation)
            )
            letter = asked.pop(end - 1)
            if operation.kind == ">":
                cells[operation.y - 1], cells[operation.x - 1] = letter, asked.pop(end)
            elif operation.kind == "-":
                assert cells.pop(operation.x - 1) == letter
                stack.append(letter)
            else:
                assert stack.pop() == letter
                cells.insert(operation.x - 1, letter)
            assert "".join(cells) == after
        assert not asked


def test_only_the_answer_field_and_the_asked_places_are_counted():
    examples = sample("default", "train", range(200))
    labels = trace_labels(examples, -100)
    assert (labels[examples.answer_mask] == examples.labels[examples.answer_mask]).all()
    for row, question in enumerate(examples.questions()):
        asked = asked_places(parse(question))
        assert all(labels[row, place] == ord(letter) for place, letter in asked)
        elsewhere = {int(p) for p in (labels[row] != -100).nonzero()[0]}
        elsewhere -= {int(p) for p in examples.answer_mask[row].nonzero()[0]}
        assert elsewhere == {place for place, _ in asked}
