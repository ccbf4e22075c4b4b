"""How many test programs training has seen."""

import re
from dataclasses import replace
from functools import cache

from vsc_dataset import sample
from vsc_dataset.configs import TaskConfig

SEEN_LIMIT = 10_000_000
"""Training samples: of a longer stream it takes minutes to read all programs."""

BLOCK = 50_000
"""Training samples that are read at once."""


def programs_seen(config: TaskConfig, split: str, seed: int, num_samples: int) -> float | None:
    """Compute the percent of a split's samples whose program occurs in the training stream.

    A program is the operations without the letters; 2>1 and 1>2 are the same.

    Args:
      config: of the training.
      split: such as "test".
      seed, num_samples: of the training stream.
    Returns:
      Percent; None where `num_samples` is beyond SEEN_LIMIT.
    """
    if num_samples > SEEN_LIMIT:
        return None
    compact = replace(config, layout="compact")
    questions = sample(compact, split, range(config.num_rows(split))).questions()
    programs = [_program(question) for question in questions]
    missing = set(programs)
    for start in range(0, num_samples, BLOCK):
        if not missing:
            break
        block = range(start, min(start + BLOCK, num_samples))
        missing.difference_update(map(_program, sample(compact, "train", block, seed).questions()))
    return 100 * sum(program not in missing for program in programs) / len(programs)


def _program(question: str) -> tuple[str, ...]:
    return tuple(map(_token, re.split("[ :]", question)[1:]))


@cache
def _token(text: str) -> str:
    """Write a swap with its smaller position first, other operations as they are."""
    return ">".join(sorted(text.split(">"), key=int)) if ">" in text else text
