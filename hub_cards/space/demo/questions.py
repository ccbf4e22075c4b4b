"""Read or draw a question, and get the answers of checkpoints after every operation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vsc_dataset import CONFIGS, Program, parse, sample

MAX_OPERATIONS = 64
"""Of a question on the page: every checkpoint is evaluated once for each of them."""

MAX_CHARACTERS = 26 + 1 + MAX_OPERATIONS * len(", 26>26")
"""Of a question with all letters and MAX_OPERATIONS of the longest operations."""


@dataclass(frozen=True)
class Checkpoint:
    """A model that can be evaluated.

    Attributes:
      name: how the page calls it.
      answer: gives the answer to a question in either layout, without padding; ValueError where the
        question does not fit the model.
      answer_all: gives the answers to several questions at once, ValueError where one of them does
        not fit; None: they are evaluated one by one.
      trained: the fewest and the most operations that it was trained on; None where that is not
        known.
      longest_row: bytes of a row that it can read, answer field included; None: no limit.
    """

    name: str
    answer: Callable[[str], str]
    trained: tuple[int, int] | None = None
    longest_row: int | None = None
    answer_all: Callable[[list[str]], list[str]] | None = None

    def was_trained_on(self, nops: int) -> bool:
        """Whether this many operations lie in the trained range; an unknown one holds all."""
        return self.trained is None or self.trained[0] <= nops <= self.trained[1]


@dataclass(frozen=True)
class Step:
    """A question cut after k operations.

    Attributes:
      nops: k, from 0.
      operation: the last one, "" where there is none.
      letters: the true answer.
    """

    nops: int
    operation: str
    letters: str


@dataclass(frozen=True)
class Followed:
    """A checkpoint's answers to one question, cut after every operation.

    Attributes:
      checkpoint: the one that was evaluated.
      answers: for each step the text, or None where the model was not evaluated.
      first_wrong: see `first_wrong_step`.
      refused: why the whole question does not fit the model; "" where it does.
    """

    checkpoint: Checkpoint
    answers: tuple[str | None, ...]
    first_wrong: int | None
    refused: str = ""


def longest_question(checkpoints: Sequence[Checkpoint]) -> int:
    """The characters of a question that at least one checkpoint can read, at most those of a page.

    >>> longest_question([]), longest_question([Checkpoint("", str, longest_row=40)])
    (475, 40)
    """
    rows = [checkpoint.longest_row for checkpoint in checkpoints] or [None]
    return min(MAX_CHARACTERS, max(MAX_CHARACTERS if row is None else row for row in rows))


def read(question: Any, longest: int = MAX_CHARACTERS) -> Program:
    """Parse the question that was typed.

    Raises:
      ValueError: one line: nothing was typed, it is not a question, or it is longer than `longest`
        characters, which is found before anything is parsed.

    >>> read(" NPFKT:5>4 3>1 ").answer
    'FPNTK'
    """
    if question is not None and not isinstance(question, str):
        raise ValueError(f"a question is a text, not a {type(question).__name__}")
    question = (question or "").strip()
    if len(question) > longest:
        raise ValueError(
            f"this question has {len(question):,} characters, these models read at most {longest}"
        )
    if not question:
        raise ValueError("type a question, such as NPFKT:5>4 3>1, or draw one")
    program = parse(question)
    if len(program.operations) > MAX_OPERATIONS:
        raise ValueError(
            f"this question has {len(program.operations):,} operations, "
            f"this page follows at most {MAX_OPERATIONS}"
        )
    return program


def draw(config: Any, split: Any, index: Any) -> str:
    """Draw row `index` of a split, as `load_dataset` numbers it.

    Raises:
      ValueError: one line: there is no such configuration, split or row.

    >>> draw("swap-nops5", "validation", 0)
    'ZIYFQ:5>3 5>1 1>2 5>4 5>2'
    """
    rows = num_rows(config, split)
    number = index if isinstance(index, int | float) and math.isfinite(index) else -1
    if number != int(number) or not 0 <= number < rows:
        words = "" if index is None else " ".join(str(index).split())[:40]
        raise ValueError(f"index {words}: {config}, {split} has the rows 0 to {rows - 1:,}")
    return sample(config, split, [int(number)]).questions()[0]


def num_rows(config: Any, split: Any) -> int:
    """Count the rows of a split; ValueError where there is no such configuration or split."""
    if not isinstance(config, str) or config not in CONFIGS:
        name = repr(config)[:40]
        raise ValueError(f"configuration {name} does not exist: choose one of the list")
    if not isinstance(split, str) or split not in CONFIGS[config].splits:
        raise ValueError(f"{config} has no split {repr(split)[:40]}: choose one of the list")
    return CONFIGS[config].num_rows(split)


def steps(program: Program) -> list[Step]:
    """The letters before all operations and after each of them.

    >>> [(step.operation, step.letters) for step in steps(read("YNP:3>1 -3"))]
    [('', 'YNP'), ('3>1', 'PNY'), ('-3', 'PN')]
    """
    operations = ["", *map(str, program.operations)]
    letters = [program.letters, *program.trace]
    return [Step(k, *both) for k, both in enumerate(zip(operations, letters, strict=True))]


def follow(program: Program, checkpoint: Checkpoint) -> Followed:
    """Evaluate a checkpoint on the question cut after each operation, where that fits the model."""
    count = len(program.operations)
    first = min(1, count)  # without operations nothing can go wrong before the last
    cuts = [
        str(Program(program.letters, program.operations[:k], program.layout))
        for k in range(first, count + 1)
    ]
    cut_answers, refused = _answers(cuts, checkpoint)
    answers = [*([None] * first), *cut_answers]
    truths = [step.letters for step in steps(program)]
    first_wrong = first_wrong_step(truths, answers, checkpoint)
    return Followed(checkpoint, tuple(answers), first_wrong, refused)


def _answers(questions: list[str], checkpoint: Checkpoint) -> tuple[list[str | None], str]:
    """Evaluate all questions, at once where they fit; and say why the last one does not fit."""
    try:
        if checkpoint.answer_all is not None:
            return [*checkpoint.answer_all(questions)], ""
    except ValueError:
        pass  # one of them does not fit: the others are evaluated one by one
    answers: list[str | None] = []
    refused = ""
    for question in questions:
        try:
            answers.append(checkpoint.answer(question))
            refused = ""
        except ValueError as error:
            answers.append(None)
            refused = str(error)
    return answers, refused


def first_wrong_step(
    truths: Sequence[str], answers: Sequence[str | None], checkpoint: Checkpoint
) -> int | None:
    """The smallest k within the trained range at which the answer is wrong; else None.

    Args:
      truths, answers: after k operations, for k from 0.
      checkpoint: whose range counts.

    >>> answers = ["AB", "BA", "AB", "AB"]
    >>> first_wrong_step(["AB", "BA", "AB", "BA"], answers, Checkpoint("", str))
    3
    >>> first_wrong_step(["AB", "BA", "AB", "BA"], answers, Checkpoint("", str, (1, 2)))
    """
    for k, (truth, answer) in enumerate(zip(truths, answers, strict=True)):
        if answer is not None and answer != truth and checkpoint.was_trained_on(k):
            return k
    return None
