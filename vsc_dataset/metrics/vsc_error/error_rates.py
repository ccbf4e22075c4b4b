"""Error rates of predicted answers, with their intervals.

numpy alone, and nothing else of this project: the file also works copied next to the metric.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

ERRORS = ("sample_error_pct", "mask_error_pct")
"""Both errors, as every result names them."""

Z_95 = 1.959963984540054
"""The normal quantile of a two-sided 95% interval."""

RESAMPLES = 10_000
"""Bootstrap resamples: the ends of an interval then move by about 3% of a standard error."""

MAX_WIDTH = 2**16
"""Characters of an answer field."""

OPERATORS = ">-+"


def error_rates(
    predictions: Sequence[str],
    references: Sequence[str],
    questions: Sequence[str] | None = None,
    answer_width: int | None = None,
) -> dict[str, Any]:
    """Compute sample error and mask error of N answers, of all of them and by kind of question.

    Both sides are padded with spaces to the field's width, and padding counts. Where a prediction
    goes on after the field with more than spaces, the field's last character is wrong.

    Args:
      predictions, references: N texts each; a true answer can be the empty text.
      questions: N texts before the second colon, in either layout; they are counted, not executed.
      answer_width: W, characters of the answer field; else the longest reference's, at least 1.
    Returns:
      questions: N.
      sample_error_pct: answers with at least one wrong character, in percent of N.
      sample_error_interval: [low, high], 95%, in percent (Wilson).
      mask_error_pct: wrong characters, in percent of N * W.
      mask_error_interval: [low, high], 95%, in percent, from resampled answers, for characters of
        one answer depend on each other. Repeatable; [0, 0] where nothing is wrong.
      With `questions` also by_nops and by_length, {number of operations or letters: these five}.
    Raises:
      ValueError: no answers, unequal lists, no text, a width below a reference, no colon.
    Source: Wilson 1927; Efron 1979.

    >>> rates = error_rates(["NFTPK", "AB"], ["NFTPK", "ABC"], ["NFPTK:2>3", "ABC:"])
    >>> rates["sample_error_pct"], rates["mask_error_pct"], rates["by_nops"][0]["mask_error_pct"]
    (50.0, 10.0, 20.0)
    """
    wrong_NxW = wrong_characters(predictions, references, answer_width)
    wrong_N, width = wrong_NxW.sum(axis=1), wrong_NxW.shape[1]
    rates = _rates(wrong_N, width)
    if questions is not None:
        questions = list_texts("questions", questions, len(wrong_N))
        rates["by_nops"] = _by(count_operations(questions), wrong_N, width)
        rates["by_length"] = _by(count_letters(questions), wrong_N, width)
    return rates


def wrong_characters(
    predictions: Sequence[str], references: Sequence[str], answer_width: int | None = None
) -> NDArray[np.bool_]:
    """Find where the answer fields are wrong.

    Args:
      predictions, references, answer_width: as in `error_rates`.
    Returns:
      bool (N, W).
    Raises:
      ValueError: as `error_rates`.

    >>> wrong_characters(["AC", "ABC"], ["AB", "AB"]).tolist()
    [[False, True], [False, True]]
    """
    references = list_texts("references", references)
    if not references:
        raise ValueError("0 references: at least 1 answer is needed for a rate")
    predictions = list_texts("predictions", predictions, len(references))
    width = field_width(references, answer_width)
    wrong_NxW: NDArray[np.bool_] = _characters(predictions, width) != _characters(references, width)
    wrong_NxW[[len(text.rstrip(" ")) > width for text in predictions], -1] = True
    return wrong_NxW


def field_width(references: Sequence[str], answer_width: int | None = None) -> int:
    """Choose W: `answer_width`, or the longest reference's, at least 1.

    Raises:
      ValueError: a width that is not a whole number from 1, or below a reference.

    >>> field_width(["NP", "NFTPK"]), field_width(["NP"], 8), field_width([""])
    (5, 8, 1)
    """
    longest = max(references, key=len)
    if len(longest) > MAX_WIDTH:
        raise ValueError(
            f"reference {longest[:40]!r}… has {len(longest):,} characters, {MAX_WIDTH:,} is the "
            "limit: are predictions and references in each other's place?"
        )
    if answer_width is None:
        return max(1, len(longest))
    is_int = isinstance(answer_width, Integral) and not isinstance(answer_width, bool)
    if not is_int or not 1 <= answer_width <= MAX_WIDTH:
        value = answer_width if is_int else f"of type {type(answer_width).__name__}"
        raise ValueError(
            f"answer_width is {value}: it must be a whole number from 1 to {MAX_WIDTH}"
        )
    if len(longest) > answer_width:
        raise ValueError(
            f"answer_width is {answer_width}: reference {longest[:40]!r} has {len(longest)} "
            "characters, so give at least that or leave it out"
        )
    return int(answer_width)


def count_operations(questions: Sequence[str]) -> list[int]:
    """Count the operations of each question, in either layout: each has one operator.

    >>> count_operations(["NPFKT:5>4 3>1", "YNP: 3>1, -3, +1", "ABC:"])
    [2, 3, 0]
    """
    return [sum(map(_split(question)[1].count, OPERATORS)) for question in questions]


def count_letters(questions: Sequence[str]) -> list[int]:
    """Count the letters of each question, in either layout.

    >>> count_letters(["NPFKT:5>4 3>1", "YNP: 3>1, -3, +1", "ABC:"])
    [5, 3, 3]
    """
    return [len(_split(question)[0]) for question in questions]


def _split(question: str) -> tuple[str, str]:
    """Split letters from operations; ValueError without a colon."""
    letters, colon, operations = question.partition(":")
    if not colon:
        raise ValueError(f"question {question!r} has no colon: write it as 'NPFKT:5>4 3>1'")
    return letters, operations


def list_texts(name: str, texts: Iterable[str], count: int | None = None) -> list[str]:
    """Make a list of ordered texts: of an array, a column, a generator.

    Raises:
      ValueError: one is not a text, or there are not `count` of them.

    >>> list_texts("predictions", {"AB": 1})
    Traceback (most recent call last):
    ValueError: predictions is of type dict: give a list of texts
    """
    if isinstance(texts, str):
        raise ValueError(f"{name} is the text {texts!r:.80}: give a list of texts")
    if not isinstance(texts, Iterable) or isinstance(texts, bytes | Mapping | Set):
        raise ValueError(f"{name} is of type {type(texts).__name__}: give a list of texts")
    listed = list(texts)
    if count is not None and len(listed) != count:
        raise ValueError(f"{len(listed)} {name} for {count} references: give one for each")
    for i, text in enumerate(listed):
        if not isinstance(text, str):
            raise ValueError(f"{name}[{i}] is of type {type(text).__name__}: it must be a text")
    return listed


def _characters(texts: Sequence[str], width: int) -> NDArray[np.uint32]:
    """Cut or pad each text with spaces to `width` characters: uint32 (N, W)."""
    padded = np.array([text.ljust(width) for text in texts], f"<U{width}")
    return padded.view(np.uint32).reshape(len(texts), width)


def _by(groups: Sequence[int], wrong_N: NDArray[np.int_], width: int) -> dict[int, dict[str, Any]]:
    """Compute the rates of each group, in rising order."""
    groups_N = np.asarray(groups)
    return {int(g): _rates(wrong_N[groups_N == g], width) for g in np.unique(groups_N)}


def _rates(wrong_N: NDArray[np.int_], width: int) -> dict[str, Any]:
    """Compute the five figures from the number of wrong characters in each answer."""
    count, samples = len(wrong_N), int((wrong_N > 0).sum())
    return {
        "questions": count,
        "sample_error_pct": 100 * samples / count,
        "sample_error_interval": _wilson(samples, count),
        "mask_error_pct": 100 * int(wrong_N.sum()) / (count * width),
        "mask_error_interval": _bootstrap(wrong_N, width),
    }


def _wilson(wrong: int, count: int) -> list[float]:
    """Compute Wilson's 95% interval of a share, in percent."""
    share, z2 = wrong / count, Z_95**2 / count
    center = share + z2 / 2
    half = (z2 * (share * (1 - share) + z2 / 4)) ** 0.5
    # Rounding must not move an end off 0 or 100 where nothing or everything is wrong.
    low = 100 * (center - half) / (1 + z2) if wrong else 0.0
    high = 100 * (center + half) / (1 + z2) if wrong < count else 100.0
    return [low, high]


def _bootstrap(wrong_N: NDArray[np.int_], width: int) -> list[float]:
    """Compute the 95% interval of mask error over resampled answers, in percent.

    A resample matters only through how often each number of wrong characters is in it, and those
    numbers are multinomial: so its cost does not grow with N.
    """
    count = len(wrong_N)
    counts = np.bincount(wrong_N, minlength=width + 1)
    # Numbers that no answer has take no draw, and no memory; but the last one takes the rest.
    values = np.union1d(np.flatnonzero(counts), [width])
    resamples = np.random.default_rng(0).multinomial(count, counts[values] / count, RESAMPLES)
    means = resamples @ values * (100 / (count * width))
    return [float(end) for end in np.quantile(means, (0.025, 0.975))]
