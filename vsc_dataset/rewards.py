"""A reward function as TRL calls it."""

import re
from collections.abc import Iterable
from typing import Any

from vsc_dataset.language import parse, score

_TEXT_KEYS = ("content", "text")
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")


def reward(prompts: Any = None, completions: Any = None, **columns: Any) -> list[float]:
    r"""Score completions: 1.0 for the right answer, else the share of its letters that are right.

    The answer is what stands after `</think>`, of that in the last `\boxed{}`, of that after the
    last colon, each where there is one; white space around it does not count. Where the right
    answer has no letters, the states of a scratchpad must be right too. It never raises: None, or
    a prompt without a question, scores 0.0.

    Args:
      prompts: N prompts as `columns="prompt-completion"` gives them, texts or chat messages.
      completions: N completions, likewise.
      columns: the data's other columns; a column `question` is read in place of the prompts.
    Returns:
      N numbers from 0.0 to 1.0.

    >>> reward(["NPFKT:5>4 3>1:"] * 3, [" FPNTK\n", "FPNKT", None])
    [1.0, 0.6, 0.0]
    >>> reward(["AB:1>2:"], ["BA:BA"]), reward(["AB:1>2:"], [[{"role": "user", "content": "BA"}]])
    ([1.0], [1.0])
    >>> reward(["AB:1>2:"], [r"<think>A and B change places.</think> It is \boxed{BA}."])
    [1.0]
    """
    completions = _as_list(completions)
    questions = _as_list(columns.get("question")) or _as_list(prompts)
    questions += [None] * (len(completions) - len(questions))
    return [
        _score(question, completion)
        for question, completion in zip(questions, completions, strict=False)
    ]


def _as_list(values: Any) -> list[Any]:
    """Make a list; what is none is empty."""
    is_list = isinstance(values, Iterable) and not isinstance(values, str | bytes | dict)
    return list(values) if is_list else []


def _text(value: Any) -> str | None:
    """Read a text, or that of the last message of a chat; None where there is none."""
    if isinstance(value, list | tuple):
        value = value[-1] if value else None
    if isinstance(value, dict):
        value = next((value[key] for key in _TEXT_KEYS if value.get(key)), None)
        return _text(value)
    return value if isinstance(value, str) else None


def _score(prompt: Any, completion: Any) -> float:
    """Score one answer; 0.0 where there is none, or no question."""
    try:
        return _score_texts(_text(prompt), _text(completion))
    except Exception:  # a training goes on, whatever a completion is
        return 0.0


def _score_texts(prompt: str | None, completion: str | None) -> float:
    """Score the text of an answer; ValueError for a question that is none."""
    if prompt is None or completion is None:
        return 0.0
    completion = completion.rpartition("</think>")[2]
    completion = [completion, *_BOXED.findall(completion)][-1]
    letters, colon, rest = prompt.strip().partition(":")
    question = letters + colon + rest.rstrip().removesuffix(":").rstrip(" ,")
    scratchpad, _, answer = completion.strip().rpartition(":")
    program = parse(question)
    if not program.answer and scratchpad.split() != [state for state in program.trace if state]:
        return float(not completion.strip())
    return score(question, answer.strip())
