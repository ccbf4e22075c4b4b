"""Write steps, answers and results as HTML, every text in it escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import zip_longest
from typing import Any

from vsc_dataset import Program

from .questions import Checkpoint, Followed, Step

PADDING = "·"
"""Stands for a missing or a blank character; anything else that does not print is UNPRINTABLE."""

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


def error(message: str) -> str:
    """One line that says what is wrong."""
    return f'<p class="vsc-error" role="alert">{escape(message)}</p>'


def answers(program: Program, followed: Sequence[Followed], steps: Sequence[Step]) -> str:
    """A verdict for each checkpoint, then the letters and all answers step by step."""
    verdicts = "".join(f"<li>{_verdict(one, steps)}</li>" for one in followed)
    none = "" if followed else error("no checkpoint is loaded: name some with --checkpoints")
    return (
        f'<p class="vsc-question">{escape(str(program))} '
        f"<span>true answer</span> {_letters(steps[-1].letters)}</p>"
        f'<ul class="vsc-verdicts">{verdicts}</ul>{none}{_steps_table(followed, steps)}'
    )


def _verdict(followed: Followed, steps: Sequence[Step]) -> str:
    """Answer, right or wrong, and the first wrong step of one checkpoint."""
    checkpoint, answer, true = followed.checkpoint, followed.answers[-1], steps[-1].letters
    name = f"<b>{escape(checkpoint.name)}</b>"
    if answer is None:
        return f"{name} cannot answer this: {escape(followed.refused)}"
    word = "right" if answer == true else "wrong"
    sign = {"right": "✓", "wrong": "✗"}[word]
    html = f'{name} {_compared(answer, true)} <span class="vsc-{word}">{sign} {word}</span>'
    return f"{html} <span>{escape(_where(followed, steps))}</span>"


def _where(followed: Followed, steps: Sequence[Step]) -> str:
    """The first wrong step in words."""
    first = followed.first_wrong
    if first:
        return f"first wrong after operation {first}, {steps[first].operation}"
    if first == 0:
        return "wrong without any operation"
    trained = followed.checkpoint.trained
    within = f" within the trained {_span(trained)} operations" if trained else ""
    return f"no wrong step{within}"


def _span(trained: tuple[int, int]) -> str:
    fewest, most = trained
    return str(most) if fewest == most else f"{fewest} to {most}"


def _steps_table(followed: Sequence[Followed], steps: Sequence[Step]) -> str:
    """A line for each step, a column for each checkpoint."""
    names = "".join(f"<th>{_head(one.checkpoint)}</th>" for one in followed)
    lines = []
    for step in steps:
        cells = "".join(_cell(one, step) for one in followed)
        what = f"<code>{escape(step.operation)}</code>" if step.operation else "<span>start</span>"
        lines.append(
            f"<tr><td>{step.nops}</td><td>{what}</td><td>{_letters(step.letters)}</td>{cells}</tr>"
        )
    head = f"<tr><th>step</th><th>operation</th><th>letters</th>{names}</tr>"
    return _table(head, lines)


def _head(checkpoint: Checkpoint) -> str:
    trained = checkpoint.trained
    told = f"<br><span>trained on {_span(trained)} operations</span>" if trained else ""
    return escape(checkpoint.name) + told


def _cell(followed: Followed, step: Step) -> str:
    """An answer; pale where the model was never trained on this number of operations."""
    answer = followed.answers[step.nops]
    classes = []
    if not followed.checkpoint.was_trained_on(step.nops):
        classes.append("vsc-beyond")
    if followed.first_wrong == step.nops:
        classes.append("vsc-first")
    html = "" if answer is None else _compared(answer, step.letters)
    return f'<td class="{" ".join(classes)}">{html}</td>'


def _letters(text: str) -> str:
    """A cell for each letter; a word of its own where none is left."""
    cells = "".join(f"<i>{escape(letter)}</i>" for letter in text)
    return f'<span class="vsc-letters">{cells or "<em>none left</em>"}</span>'


def _compared(answer: str, true: str) -> str:
    """A cell for each character, right or wrong; missing and superfluous ones are wrong."""
    cells = [
        f'<i class="vsc-{"right" if letter == wanted else "wrong"}">{_printed(letter)}</i>'
        for letter, wanted in zip_longest(answer, true, fillvalue="")
    ]
    return f'<span class="vsc-letters">{"".join(cells) or "<em>empty</em>"}</span>'


def _printed(character: str) -> str:
    if character in ("", " "):
        return PADDING
    return escape(character) if character.isprintable() else UNPRINTABLE


def trivial_baselines(rates: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each trivial baseline, as `trivial_baselines` of the metric gives them."""
    lines = [
        f"<tr><td>{escape(name)}</td><td>{errors['sample_error_pct']:.2f}</td>"
        f"<td>{errors['mask_error_pct']:.2f}</td></tr>"
        for name, errors in rates.items()
    ]
    head = "<tr><th>baseline</th><th>sample error %</th><th>mask error %</th></tr>"
    return _table(head, lines, "vsc-figures")


def _table(head: str, lines: Sequence[str], kind: str = "vsc-steps") -> str:
    return (
        f'<div class="vsc-scroll"><table class="vsc-table {kind}">'
        f"<thead>{head}</thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
