"""A question and checkpoints -> what each of them answers after every operation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vsc_dataset import CONFIGS, Program, parse, sample

MAX_OPERATIONS = 64
"""Of a question on the page: every checkpoint is asked once for each of them."""


@dataclass(frozen=True)
class Checkpoint:
    """A model that can be asked.

    Attributes:
      name: how the page calls it.
      ask: a question in either layout -> the answer without filling; ValueError where it does
        not fit the model.
      trained: the fewest and the most operations that it was trained on; None where that is not
        known.
    """

    name: str
    ask: Callable[[str], str]
    trained: tuple[int, int] | None = None

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
      checkpoint: who was asked.
      answers: for each step the text, or None where it was not asked.
      first_wrong: see `first_wrong_step`.
      refused: why the whole question does not fit the model; "" where it does.
    """

    checkpoint: Checkpoint
    answers: tuple[str | None, ...]
    first_wrong: int | None
    refused: str = ""


def read(question: str) -> Program:
    """The question that was typed.

    Raises:
      ValueError: one line: nothing was typed, it is no question, or it is too long for the page.

    >>> read(" NPFKT:5>4 3>1 ").answer
    'FPNTK'
    """
    question = question.strip()
    if not question:
        raise ValueError("type a question, such as NPFKT:5>4 3>1, or draw one")
    program = parse(question)
    if len(program.operations) > MAX_OPERATIONS:
        raise ValueError(
            f"this question has {len(program.operations):,} operations, "
            f"this page follows at most {MAX_OPERATIONS}"
        )
    return program


def draw(config: str, split: str, index: float | None) -> str:
    """Row `index` of a split, as `load_dataset` numbers it.

    Raises:
      ValueError: one line: no such configuration, split or row.

    >>> draw("swap-nops5", "validation", 0)
    'ZIYFQ:5>3 5>1 1>2 5>4 5>2'
    """
    rows = num_rows(config, split)
    if index is None or index != int(index) or not 0 <= index < rows:
        raise ValueError(
            f"index {'' if index is None else index}: {config}, {split} has the rows "
            f"0 to {rows - 1:,}"
        )
    return sample(config, split, [int(index)]).questions()[0]


def num_rows(config: str, split: str) -> int:
    """The rows of a split; ValueError where there is no such configuration or split."""
    if config not in CONFIGS:
        raise ValueError(f"configuration {config!r} does not exist: choose one of the list")
    if split not in CONFIGS[config].splits:
        raise ValueError(f"{config} has no split {split!r}: choose one of the list")
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
    """Ask a checkpoint the question cut after each operation; what does not fit is not asked."""
    count = len(program.operations)
    answers: list[str | None] = []
    refused = ""
    for k in range(count + 1):
        cut = Program(program.letters, program.operations[:k], program.layout)
        answer = None
        if k or not count:  # without operations nothing can go wrong on the way
            try:
                answer = checkpoint.ask(str(cut))
            except ValueError as error:
                refused = str(error) if k == count else ""
        answers.append(answer)
    truths = [step.letters for step in steps(program)]
    first_wrong = first_wrong_step(truths, answers, checkpoint)
    return Followed(checkpoint, tuple(answers), first_wrong, refused)


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
