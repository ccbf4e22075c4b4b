"""React to what somebody types or draws: plain values, None where nothing changes."""

import random
from collections.abc import Sequence
from typing import Any

from vsc_dataset import CONFIGS, sample
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines

from . import display, questions
from .questions import Checkpoint

BASELINES = ("swap-nops5", "test", 10_000)
"""Configuration, split and number of samples of the trivial baselines."""


class Handlers:
    """The page's reactions; each refusal is one line of HTML, whatever the input."""

    def __init__(self, checkpoints: Sequence[Checkpoint]) -> None:
        self.checkpoints = checkpoints
        self.longest = questions.longest_question(checkpoints)

    def answer(self, question: Any) -> str:
        """Show all answers to a question."""
        try:
            program = questions.read(question, self.longest)
        except ValueError as error:
            return display.error(str(error))
        followed = [questions.follow(program, checkpoint) for checkpoint in self.checkpoints]
        return display.answers(program, followed, questions.steps(program))

    def draw(self, config: Any, split: Any, index: Any) -> tuple[str | None, str]:
        """Draw a row: the question and what is shown of it."""
        try:
            question = questions.draw(config, split, index)
        except ValueError as error:
            return None, display.error(str(error))
        return question, self.answer(question)

    def draw_any(self, config: Any, split: Any) -> tuple[int | None, str | None, str]:
        """Draw a random row: its number, the question and what is shown of it."""
        try:
            index = random.randrange(questions.num_rows(config, split))
        except ValueError as error:
            return None, None, display.error(str(error))
        return index, *self.draw(config, split, index)

    def splits_of(self, config: Any) -> list[str] | None:
        """The splits of a configuration; None where there is no such configuration."""
        exists = isinstance(config, str) and config in CONFIGS
        return list(CONFIGS[config].splits) if exists else None

    def usual_split(self, splits: Sequence[str]) -> str:
        """The split that is chosen first."""
        return "test" if "test" in splits else splits[0]


def measured_baselines() -> tuple[str, dict[str, Any]]:
    """What they were measured on, in words, and their error rates."""
    config, split, rows = BASELINES
    texts = sample(config, split, range(rows)).questions()
    return f"the first {rows:,} samples of `{config}`, {split}", trivial_baselines(texts)
