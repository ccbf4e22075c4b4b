"""A configuration and a number of rows -> model-ready bytes, by the usual plain-Python loop.

The yardstick of `benchmark.py data`: what one writes first, with `random.Random`, one string at a
time. It keeps no splits apart, which saves it work.
"""

from random import Random

import numpy as np

from vsc_dataset import TaskConfig
from vsc_dataset.encoding import MASK, PAD, Examples
from vsc_dataset.language import LAYOUTS

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def make_rows(config: TaskConfig, count: int, seed: int) -> Examples:
    """`count` rows of `config`, none of them kept for a split."""
    random = Random(seed)
    width = config.row_width
    input_ids = np.full((count, width), PAD, np.uint8)
    labels = np.full((count, width), PAD, np.uint8)
    length, nops = np.empty(count, np.uint8), np.empty(count, np.uint16)
    for row in range(count):
        prompt, answer, length[row], nops[row] = make_row(config, random)
        end = len(prompt) + config.answer_width
        text = prompt + answer.ljust(config.answer_width)
        labels[row, :end] = np.frombuffer(text.encode(), np.uint8)
        input_ids[row, :end] = labels[row, :end]
        input_ids[row, len(prompt) : end] = MASK
    return Examples(input_ids, labels, input_ids == MASK, length, nops, config.layout)


def make_row(config: TaskConfig, random: Random) -> tuple[str, str, int, int]:
    """One question with its separator, its answer, and the numbers of letters and operations."""
    layout = LAYOUTS[config.layout]
    letters = random.sample(ALPHABET[: config.num_items], random.randint(*config.length))
    cells, stack, operations = list(letters), list[str](), list[str]()
    for _ in range(random.randint(*config.nops)):
        weights = [
            weight
            if (kind == "-" or (kind == ">" and len(cells) > 1) or (kind == "+" and stack))
            else 0
            for kind, weight in zip(config.operators, config.weights, strict=True)
        ]
        if not cells:
            break
        kind = random.choices(config.operators, weights)[0]
        x = random.randrange(len(cells))
        if kind == ">":
            y = random.randrange(len(cells) - 1)
            y += y >= x
            cells[x], cells[y] = cells[y], cells[x]
            operations.append(f"{x + 1}>{y + 1}")
            continue
        operations.append(f"{kind}{x + 1}")
        if kind == "-":
            stack.append(cells.pop(x))
        else:
            cells.insert(x, stack.pop())
    question = "".join(letters) + layout.after_letters + layout.between_operations.join(operations)
    return question + layout.before_answer, "".join(cells), len(letters), len(operations)
