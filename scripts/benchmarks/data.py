"""Measure the generator next to a plain loop."""

from random import Random
from string import ascii_uppercase

import numpy as np

from scripts.benchmarks import best_seconds
from scripts.reporting.tables import table
from vsc_dataset import TaskConfig
from vsc_dataset.configs import CONFIGS
from vsc_dataset.encoding import Examples
from vsc_dataset.language import LAYOUTS
from vsc_dataset.sampling import BLOCK, sample
from vsc_dataset.vocabulary import MASK, PAD

GOALS = {"swap-nops2-5": 120, "default": 120, "level-8": 10}
"""How many times the plain loop the generator is to be."""

ROUNDS = 7
PLAIN_SHARE = 8


def plain_rows(config: TaskConfig, count: int) -> Examples:
    """Make rows as one does first: `random.Random`, one string at a time, all splits in one."""
    random, shape = Random(0), (count, config.row_width)
    input_ids, labels = np.full(shape, PAD, np.uint8), np.full(shape, PAD, np.uint8)
    length, nops = np.empty(count, np.uint8), np.empty(count, np.uint16)
    for row in range(count):
        prompt, answer, length[row], nops[row] = plain_row(config, random)
        end = len(prompt) + config.answer_width
        text = prompt + answer.ljust(config.answer_width)
        labels[row, :end] = np.frombuffer(text.encode(), np.uint8)
        input_ids[row, :end] = labels[row, :end]
        input_ids[row, len(prompt) : end] = MASK
    return Examples(input_ids, labels, input_ids == MASK, length, nops, config.layout)


def plain_row(config: TaskConfig, random: Random) -> tuple[str, str, int, int]:
    """Make a question with its separator, its answer, and the numbers of letters and operations."""
    letters = random.sample(ascii_uppercase[: config.num_items], random.randint(*config.length))
    cells, stack, operations = list(letters), list[str](), list[str]()
    for _ in range(random.randint(*config.nops)):
        if not cells:
            break
        can = {">": len(cells) > 1, "-": True, "+": bool(stack)}
        weights = [w * can[k] for k, w in zip(config.operators, config.weights, strict=True)]
        kind = random.choices(config.operators, weights)[0]
        x = random.randrange(len(cells))
        operations.append(f"{kind}{x + 1}")
        if kind == ">":
            y = random.randrange(len(cells) - 1)
            y += y >= x
            cells[x], cells[y] = cells[y], cells[x]
            operations[-1] = f"{x + 1}>{y + 1}"
        elif kind == "-":
            stack.append(cells.pop(x))
        else:
            cells.insert(x, stack.pop())
    layout = LAYOUTS[config.layout]
    program = layout.between_operations.join(operations)
    prompt = "".join(letters) + layout.after_letters + program + layout.before_answer
    return prompt, "".join(cells), len(letters), len(operations)


def report() -> str:
    """Compare rows a second for each of GOALS."""
    rows = []
    for name, goal in GOALS.items():
        config = CONFIGS[name]
        count = BLOCK // (8 if config.row_width > 100 else 1)
        functions = {
            "plain": lambda config=config, n=count // PLAIN_SHARE: plain_rows(config, n),
            "sample": lambda config=config, n=count: sample(config, "train", range(n)),
        }
        seconds = best_seconds(functions, ROUNDS)
        plain, fast = count // PLAIN_SHARE / seconds["plain"], count / seconds["sample"]
        rows.append([name, f"{plain:,.0f}", f"{fast:,.0f}", f"{fast / plain:.0f} (goal {goal})"])
    heads = ["configuration", "plain loop rows/s", "sample rows/s", "times"]
    return table(heads, rows, markdown=True)
