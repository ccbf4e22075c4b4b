"""The error rates of answers that need no model."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from vsc_dataset.checking import check_int
from vsc_dataset.language import Program, apply, parse, quote
from vsc_dataset.metrics.vsc_error.error_rates import error_rates

KS = (1, 2, 3, 4)
"""How many operations are executed alone."""


def trivial_baselines(
    questions: Sequence[str], answer_width: int | None = None, ks: Sequence[int] = KS
) -> dict[str, dict[str, Any]]:
    """Compute the error rates of each baseline; a model that is not below them has learned nothing.

    Args:
      questions: N texts before the second colon, in either layout.
      answer_width: W, characters of the answer field, as in `error_rates`.
      ks: see `baseline_predictions`.
    Returns:
      {name: `error_rates`, with by_nops and by_length}, named and in the order of
      `baseline_predictions`.
    Raises:
      ValueError: no questions, a malformed one, a width below an answer, a k below 1.

    >>> rates = trivial_baselines(["NPFKT:5>4 3>1"])
    >>> rates["copy"]["mask_error_pct"], rates["first 1"]["mask_error_pct"]
    (80.0, 40.0)
    """
    predictions = baseline_predictions(questions, ks)
    answers = [parse(question).answer for question in questions]
    return {
        name: error_rates(texts, answers, questions, answer_width)
        for name, texts in predictions.items()
    }


def baseline_predictions(questions: Sequence[str], ks: Sequence[int] = KS) -> dict[str, list[str]]:
    """Answer each question by each baseline.

    Args:
      questions: N texts before the second colon, in either layout.
      ks: numbers of operations, from 1.
    Returns:
      {name: N answers}:
      copy: the question's letters as they are.
      guess: as many of the question's letters as the answer has, any choice and order of them
        equally likely; a function of the question's text. It knows the answer's length.
      first k: the letters after the first k operations. A shorter program is executed whole, so
        its answer is right.
      last k: the last k operations on the question's letters; what is impossible there, where
        the operations before are missing, is skipped.
    Raises:
      ValueError: a malformed question, a k below 1.

    >>> baseline_predictions(["YNP:3>1 -3 2>1"], ks=[2])
    {'copy': ['YNP'], 'guess': ['PY'], 'first 2': ['PN'], 'last 2': ['NY']}
    """
    for name, values in {"questions": questions, "ks": ks}.items():
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise ValueError(f"{name} is {quote(values)}: it must be a list")
    for k in ks:
        check_int("k", k, 1)  # 0 would be copy
    programs = [parse(question) for question in questions]
    return {
        "copy": [program.letters for program in programs],
        "guess": [_guess(program) for program in programs],
        **{f"first {k}": [_first(program, k) for program in programs] for k in ks},
        **{f"last {k}": [_last(program, k) for program in programs] for k in ks},
    }


def _guess(program: Program) -> str:
    """Choose and arrange as many letters as the answer has by the question's hash."""
    # 256 bits against at most 26! < 2^89 arrangements: the bias of the remainders is negligible.
    rank = int.from_bytes(blake2b(str(program).encode("ascii"), digest_size=32).digest(), "big")
    left, chosen = list(program.letters), []
    for _ in program.answer:
        rank, i = divmod(rank, len(left))
        chosen.append(left.pop(i))
    return "".join(chosen)


def _first(program: Program, k: int) -> str:
    """Execute the first k operations, or all."""
    return program.trace[k - 1] if k < len(program.operations) else program.answer


def _last(program: Program, k: int) -> str:
    """Execute those of the last k operations that are possible."""
    letters, stack = list(program.letters), list[str]()
    for operation in program.operations[-k:]:
        apply(operation, letters, stack)
    return "".join(letters)
