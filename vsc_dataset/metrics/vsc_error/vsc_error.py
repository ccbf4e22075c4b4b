"""The error rates of answers as a metric of `evaluate`."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from .error_rates import error_rates

DESCRIPTION = """\
Errors of answers to Very Selective Copying: sample error, the share of answers with a wrong
character, and mask error, the share of wrong characters of the answer field, both in percent and
with 95 % intervals.
"""

INPUTS = """\
Args:
  predictions: texts of answers; spaces at the end are filling.
  references: the true answers.
  questions: the questions, for a breakdown by number of operations and by length.
  answer_width: characters of the answer field; the longest reference where it is not given.
Returns:
  questions (how many), sample_error_pct, sample_error_interval, mask_error_pct,
  mask_error_interval; with questions also by_nops and by_length.
Example:
  >>> metric.compute(predictions=["FPNTK"], references=["FPNTK"])["sample_error_pct"]
  0.0
"""


class VscError(evaluate.Metric):
    """The arithmetic is `error_rates`; this is its shape for `evaluate`."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def add_batch(
        self, *, predictions: Any = None, references: Any = None, **settings: Any
    ) -> None:
        """Refuse one text in place of a list of them; `compute` adds its lists here, too."""
        for name, texts in (("predictions", predictions), ("references", references)):
            if isinstance(texts, str):
                raise ValueError(f"{name} is the text {texts!r}: give a list of texts")
        try:
            super().add_batch(predictions=predictions, references=references, **settings)
        except UnicodeEncodeError as error:
            raise ValueError(f"{error.object!r} is no text that UTF-8 can write") from None

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        questions: Sequence[str] | None = None,
        answer_width: int | None = None,
    ) -> dict[str, Any]:
        return error_rates(predictions, references, questions, answer_width)
