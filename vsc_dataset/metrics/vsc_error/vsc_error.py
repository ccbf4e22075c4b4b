"""The error rates of answers as a metric of `evaluate`."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from .error_rates import error_rates, list_texts

DESCRIPTION = """\
Errors of answers to Very Selective Copying: sample error, the share of answers with a wrong
character, and mask error, the share of wrong characters of the answer field, both in percent and
with 95% intervals.
"""

INPUTS = """\
Args:
  predictions: texts of answers; spaces at the end are padding.
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


NOT_GIVEN = ""
"""In place of a question that was not given: every question has a colon."""


class VscError(evaluate.Metric):
    """The arithmetic is `error_rates`; this is its shape for `evaluate`."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features(
                {"predictions": text, "references": text, "questions": text}
            ),
        )

    def add(self, *, prediction: Any = None, reference: Any = None, question: Any = None) -> None:
        """Add one answer."""
        question = NOT_GIVEN if question is None else question
        given = {"prediction": prediction, "reference": reference, "questions": question}
        for name, text in given.items():
            list_texts(name, [text])
        super().add(**given)

    def add_batch(
        self, *, predictions: Any = None, references: Any = None, questions: Any = None
    ) -> None:
        """Add answers, and their questions: each process adds its own; `compute` adds here, too."""
        given = {"predictions": predictions, "references": references, "questions": questions}
        lists = {
            name: list_texts(name, texts)
            for name, texts in given.items()
            if name != "questions" or texts is not None
        }
        lists.setdefault("questions", [NOT_GIVEN] * len(lists["references"]))
        try:
            super().add_batch(**lists)
        except UnicodeEncodeError as error:
            raise ValueError(f"{error.object!r} is not a text that UTF-8 can write") from None

    def compute(
        self, *, predictions: Any = None, references: Any = None, questions: Any = None, **kw: Any
    ) -> dict[str, Any] | None:
        """Compute the rates of the answers given here, or added before."""
        if predictions is None and references is None:
            return super().compute(all_questions=questions, **kw)
        return super().compute(
            predictions=predictions, references=references, questions=questions, **kw
        )

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        questions: Sequence[str],
        answer_width: int | None = None,
        all_questions: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        real_questions = [question for question in questions if question != NOT_GIVEN]
        if all_questions is None and real_questions:
            all_questions = real_questions
        if all_questions is not None and len(all_questions) != len(references):
            raise ValueError(
                f"{len(all_questions)} questions for {len(references)} references: give each "
                "batch's questions to add_batch, next to its predictions"
            )
        return error_rates(predictions, references, all_questions, answer_width)
