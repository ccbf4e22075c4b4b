"""Questions as texts and as programs, their answers and their traces.

The task's language, in the standard library alone. Grammar, in the layout "compact":

    question = letters ":" [operation {" " operation}]
    operation = x ">" y   swap the letters at positions x and y
              | "-" x     take letter x out and push it on the stack
              | "+" x     pop the stack and insert that letter before letter x, which must be there

Positions count from 1. The layout "spaced" writes ": " for ":" and ", " for " ".
Source: the article "Solving the Very Selective Copying problem with a Very Small Language Model".
"""

import re
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from string import ascii_uppercase
from typing import Any, NamedTuple

MAX_QUOTED = 200
"""Characters of a wrong value in a message."""

OPERATORS = ">-+"
"""The kinds of operations, in the order in which every table of this project lists them."""


class Layout(NamedTuple):
    """The three separators of a written row."""

    after_letters: str
    between_operations: str
    before_answer: str


TOKENS = "tokens"
LAYOUTS = {
    "compact": Layout(":", " ", ":"),
    "spaced": Layout(": ", ", ", ": "),
    TOKENS: Layout(":", " ", ":"),
}
"""A row of the layout `tokens` has ids in place of text (see `vocabulary`); its question, as text,
is written as in `compact`."""

_OPERATION = re.compile(r"(?:([1-9]\d{0,8})>([1-9]\d{0,8})|([-+])([1-9]\d{0,8}))", re.ASCII)


class Operation(NamedTuple):
    """One operation: its kind (">", "-" or "+"), position x, and y for a swap.

    >>> str(Operation(">", 3, 1)), str(Operation("-", 2))
    ('3>1', '-2')
    """

    kind: str
    x: int
    y: int = 0

    def __str__(self) -> str:
        return f"{self.x}>{self.y}" if self.kind == ">" else f"{self.kind}{self.x}"


@dataclass(frozen=True)
class Program:
    """Letters and the operations on them; one that exists can be executed.

    Args:
      letters: distinct capitals, at least one.
      operations: executed from left to right.
      layout: "compact", "spaced" or "tokens", how `str` and a row write the question.
    Raises:
      ValueError: letters or an operation cannot be; the message names the position and the reason.

    >>> program = Program("YNP", (Operation(">", 3, 1), Operation("-", 3)), "spaced")
    >>> str(program), program.answer, program.trace
    ('YNP: 3>1, -3', 'PN', ('PNY', 'PN'))
    """

    letters: str
    operations: tuple[Operation, ...] = ()
    layout: str = "compact"

    def __post_init__(self) -> None:
        _check_letters(self.letters)
        if not isinstance(self.layout, str) or self.layout not in LAYOUTS:
            raise ValueError(f"layout {quote(self.layout)} is unknown: use one of {list(LAYOUTS)}")
        is_list = isinstance(self.operations, tuple | list)
        if not is_list or not all(isinstance(o, Operation) for o in self.operations):
            raise ValueError(f"operations are {quote(self.operations)}: give a tuple of Operation")
        object.__setattr__(self, "operations", tuple(self.operations))
        _ = self.trace  # a program that cannot be executed must not exist

    @cached_property
    def trace(self) -> tuple[str, ...]:
        """The state after each operation."""
        return _trace(self.letters, self.operations)

    @property
    def answer(self) -> str:
        """The letters that result, without padding."""
        return self.trace[-1] if self.trace else self.letters

    def __str__(self) -> str:
        layout = LAYOUTS[self.layout]
        operations = layout.between_operations.join(map(str, self.operations))
        return self.letters + layout.after_letters + operations

    @property
    def prompt(self) -> str:
        """The question and the separator after it: all that a model is given."""
        return str(self) + LAYOUTS[self.layout].before_answer


def parse(question: str, layout: str | None = None) -> Program:
    """Read a question in either layout.

    Args:
      question: the text before the second colon, such as "NPFKT:5>4 3>1" or "YNP: 3>1, -3".
        "ABC:" has no operation and is legal.
      layout: in which the program is to be written; None: as the question is, so that
        `str(program)` gives it back.
    Returns:
      The program.
    Raises:
      ValueError: one line that names the character or the operation and the reason; an unknown
        layout.

    >>> parse("UXMP: -2, -3, 1>2, +2").answer
    'MPU'
    >>> parse("NPFKT:5>4 3>6")
    Traceback (most recent call last):
    ValueError: question 'NPFKT:5>4 3>6': operation 2 '3>6': position 6 is out of range 1 to 5
    """
    if not isinstance(question, str):
        raise ValueError(f"a question is a text such as 'NPFKT:5>4 3>1', not {quote(question)}")
    letters, colon, rest = question.partition(":")
    try:
        if not colon:
            raise ValueError("no colon: letters and operations are separated by ':'")
        _check_letters(letters)
        if ":" in rest:
            at = len(letters) + rest.index(":") + 2
            raise ValueError(f"character {at}: a question ends before the second colon")
        written = "spaced" if rest.startswith(" ") else "compact"
        operations = _parse_operations(rest, written, len(letters) + 2)
        return Program(letters, operations, layout or written)
    except ValueError as error:
        quoted = repr(question) if len(question) <= MAX_QUOTED else quote(question)
        raise ValueError(f"question {quoted}: {error}") from None


def execute(question: str) -> str:
    """Execute a question, in either layout, and return its answer.

    Raises:
      ValueError: the question is malformed; the message says what is wrong and where.

    >>> execute("NPFKT:5>4 3>1 1>4 4>2 1>3")
    'NFTPK'
    """
    return parse(question).answer


def score(question: str, text: str) -> float:
    """Score a text: 1.0 where it is the answer, else the share of right characters.

    It is strict: spaces at the end of `text` are padding and do not count, but any other white
    space, a line break, or a word before or after the answer is wrong (`reward` forgives white
    space around it). The share is taken of the longer one of both, so a text that is too long is
    never right.

    Raises:
      ValueError: the question is malformed.

    >>> score("NPFKT:5>4 3>1", "FPNTK"), score("NPFKT:5>4 3>1", "FPNKT"), score("YNP:-3", "YNP")
    (1.0, 0.6, 0.6666666666666666)
    """
    if not isinstance(text, str):
        raise ValueError(f"the answer is {quote(text)}: it must be a text")
    answer, text = execute(question), text.rstrip(" ")
    if text == answer:
        return 1.0
    return sum(a == b for a, b in zip(answer, text, strict=False)) / max(len(answer), len(text))


def quote(value: Any) -> str:
    """Write a value for a message: on one line, as an array's is not, and cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


def _check_letters(letters: str) -> None:
    """Raise ValueError unless these are distinct capitals, at least one."""
    if not isinstance(letters, str):
        raise ValueError(f"letters are {quote(letters)}: they must be a text")
    if not letters:
        raise ValueError("no letters before the first colon")
    for i, letter in enumerate(letters):
        if letter not in ascii_uppercase:
            raise ValueError(f"character {i + 1} {letter!r} is not a capital from A to Z")
        if letter in letters[:i]:
            raise ValueError(f"character {i + 1} {letter!r} repeats: letters are distinct")


def _parse_operations(text: str, layout: str, start: int) -> tuple[Operation, ...]:
    """Read the operations after the first colon; `start` is the character where they begin."""
    prefix = LAYOUTS[layout].after_letters[1:]
    separator = LAYOUTS[layout].between_operations
    body = text[len(prefix) :]
    if not body:
        return ()
    operations, at = [], start + len(prefix)
    for number, token in enumerate(body.split(separator), 1):
        match = _OPERATION.fullmatch(token)
        if not match:
            raise ValueError(
                f"character {at}: operation {number} {quote(token)} is none of x>y, -x, +x "
                f"with positions from 1, separated by {separator!r}"
            )
        x, y, sign, position = match.groups()
        operations.append(
            Operation(sign, int(position)) if sign else Operation(">", int(x), int(y))
        )
        at += len(token) + len(separator)
    return tuple(operations)


def _trace(letters: str, operations: tuple[Operation, ...]) -> tuple[str, ...]:
    """Execute the operations; ValueError names the first one that is impossible."""
    cells, stack, trace = list(letters), list[str](), list[str]()
    for number, operation in enumerate(operations, 1):
        if reason := apply(operation, cells, stack):
            raise ValueError(f"operation {number} {str(operation)!r}: {reason}")
        trace.append("".join(cells))
    return tuple(trace)


def apply(operation: Operation, letters: list[str], stack: list[str]) -> str:
    """Execute an operation in place, or leave all as it is and tell why it is impossible.

    >>> letters, stack = list("YNP"), []
    >>> apply(Operation("-", 3), letters, stack), letters, stack
    ('', ['Y', 'N'], ['P'])
    >>> apply(Operation("-", 3), letters, stack)
    'position 3 is out of range 1 to 2'
    """
    if reason := _impossible(operation, len(letters), len(stack)):
        return reason
    x, y = operation.x - 1, operation.y - 1
    if operation.kind == ">":
        letters[x], letters[y] = letters[y], letters[x]
    elif operation.kind == "-":
        stack.append(letters.pop(x))
    else:
        letters.insert(x, stack.pop())
    return ""


def _impossible(operation: Operation, num_letters: int, stack_depth: int) -> str:
    """Tell why this operation cannot be executed now; the empty text where it can."""
    if operation.kind not in tuple(OPERATORS):
        return f"kind {operation.kind!r} is unknown: use one of > - +"
    if not num_letters:
        return "no letter is left"
    for position in (operation.x, operation.y)[: 2 if operation.kind == ">" else 1]:
        if not isinstance(position, Integral) or isinstance(position, bool):
            return f"position {quote(position)} is not a whole number"
        if not 1 <= position <= num_letters:
            return f"position {position} is out of range 1 to {num_letters}"
    if operation.kind == ">" and operation.x == operation.y:
        return "a swap needs two different positions"
    if operation.kind == "+" and not stack_depth:
        return "the stack is empty"
    return ""
