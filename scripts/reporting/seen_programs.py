"""How many test programs training has seen."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from vsc_dataset import sample
from vsc_dataset.configs import TaskConfig

SEEN_LIMIT = 10_000_000
"""Training samples: of a longer stream it takes minutes to read all programs."""

BLOCK = 50_000
"""Training samples that are read at once."""


def programs_seen(
    config: TaskConfig,
    split: str,
    seed: int,
    num_samples: int,
    stages: Sequence[tuple[int, TaskConfig]] = (),
) -> float | None:
    """Compute the percent of a split's samples whose program occurs in the training stream.

    A program is the operations without the letters; 2>1 and 1>2 are the same.

    Args:
      config: of the training.
      split: such as "test".
      seed, num_samples: of the training stream.
      stages: of its curriculum, the sample that each begins with and its data; `config` if empty.
    Returns:
      Percent; None where `num_samples` is beyond SEEN_LIMIT.
    """
    if num_samples > SEEN_LIMIT:
        return None
    rows = range(config.num_rows(split))
    programs = [_program(question) for question in _questions(config, split, rows)]
    missing = set(programs)
    stages = stages or [(0, config)]
    ends = [*(begin for begin, _ in stages[1:]), num_samples]
    for (begin, trained), end in zip(stages, ends, strict=True):
        for start in range(begin, min(end, num_samples), BLOCK):
            if not missing:
                break
            block = range(start, min(start + BLOCK, end, num_samples))
            missing.difference_update(map(_program, _questions(trained, "train", block, seed)))
    return 100 * sum(program not in missing for program in programs) / len(programs)


def _questions(config: TaskConfig, split: str, rows: range, seed: int = 0) -> list[str]:
    """Generate questions as compact texts, whatever the layout."""
    return sample(replace(config, layout="compact"), split, rows, seed).questions()


def _program(question: str) -> tuple[str, ...]:
    return tuple(map(_token, re.split("[ :]", question)[1:]))


@cache
def _token(text: str) -> str:
    """Write a swap with its smaller position first, other operations as they are."""
    return ">".join(sorted(text.split(">"), key=int)) if ">" in text else text
