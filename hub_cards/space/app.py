"""Serve a page that compares the answers of checkpoints: `python app.py --checkpoints DIR …`."""

import argparse
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr

HERE = Path(__file__).resolve().parent
CLONE = HERE.parents[1]
CARDS = HERE if (HERE / "tables").is_dir() else HERE.parent
"""The folder of tables and figures: a Space holds them itself, a clone next to it."""

if find_spec("vsc_dataset") is None:  # a Space installs packages before its own files are there
    wheels = sorted(HERE.glob("wheel/vsc_dataset-*.whl"))
    packages = mkdtemp(prefix="vsc-") if wheels else str(CLONE)
    for wheel in wheels:
        zipfile.ZipFile(wheel).extractall(packages)
    sys.path.append(packages)

from demo import display, loading, results  # noqa: E402
from demo.handlers import Handlers, measured_baselines  # noqa: E402

from vsc_dataset import CONFIGS  # noqa: E402

FIRST = "NPFKT:5>4 3>1 1>4 4>2 1>3"
TITLE = "# Very Selective Copying\nLetters, a program of swaps (`5>4`) and stack operations \
(`-2` takes a letter out, `+2` puts it back): which letters result?"
THEME = gr.themes.Base(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)
WAITING = 32
"""Requests that wait at the same time; more are turned away."""


def build(sources: list[str], runs: Path) -> gr.Blocks:
    """Build the page of these checkpoints or, without any, of the newest runs of a folder."""
    load = loading.load_all if sources else loading.load_newest
    checkpoints, faults = load(sources or loading.finished_runs(runs))
    for fault in faults:
        print(f"app: {fault}", file=sys.stderr)
    with gr.Blocks(title="Very Selective Copying", analytics_enabled=False) as page:
        gr.Markdown(TITLE)
        with gr.Tab("Answers"):
            answers_tab(Handlers(checkpoints), faults)
        with gr.Tab("Results"):
            results_tab(CARDS)
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


def answers_tab(handlers: Handlers, faults: list[str]) -> None:
    """Type or draw a question; see every checkpoint's answer next to the true one."""

    def skipping(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(gr.skip() if value is None else value for value in values)

    def answer(question: str) -> str:
        return handlers.answer(question)

    def draw(config: str, split: str, index: float) -> tuple[Any, ...]:
        return skipping(handlers.draw(config, split, index))

    def draw_any(config: str, split: str) -> tuple[Any, ...]:
        return skipping(handlers.draw_any(config, split))

    def splits_of(config: str) -> Any:
        splits = handlers.splits_of(config)
        return gr.Dropdown(splits, value=handlers.usual_split(splits)) if splits else gr.skip()

    for fault in faults:
        gr.HTML(display.error(fault))
    splits = CONFIGS["swap-nops5"].splits
    with gr.Row(elem_classes="vsc-row"):
        question = gr.Textbox(
            FIRST, label="Question", scale=5, elem_id="question", max_length=handlers.longest
        )
        button = gr.Button("Answer", variant="primary", scale=1, elem_id="answer")
    with gr.Row(elem_classes="vsc-row"):
        # Any value reaches the handlers, through the API too: they say in one line what is wrong.
        config, split = (
            gr.Dropdown(names, value=value, label=label, scale=2, allow_custom_value=True)
            for names, value, label in (
                (list(CONFIGS), "swap-nops5", "or draw from"),
                (splits, "test", "split"),
            )
        )
        index = gr.Number(0, label="row", scale=1, elem_id="index")
        row = gr.Button("Draw this row", scale=1, elem_id="draw")
        any_row = gr.Button("Draw any row", scale=1, elem_id="draw-any")
    answers = gr.HTML(handlers.answer(FIRST), elem_id="answers")
    gr.on([button.click, question.submit], answer, question, answers)
    row.click(draw, [config, split, index], [question, answers])
    any_row.click(draw_any, [config, split], [index, question, answers])
    config.change(splits_of, config, split)


def results_tab(folder: Path) -> None:
    """Show the leaderboard of the scorecards, the trivial baselines, and the pictures."""
    gr.Markdown(f"### Scorecards\n{results.leaderboard(folder)}", elem_classes="vsc-scroll")
    words, rates = measured_baselines()
    gr.Markdown(f"### Trivial baselines\nAnswers without a model, on {words}.")
    gr.HTML(display.trivial_baselines(rates))
    for picture in results.pictures(folder / "figures"):
        gr.Image(str(picture), label=picture.stem, interactive=False, buttons=["fullscreen"])


def main() -> None:
    """Serve the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoints",
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders of runs, or ids on the hub; default: those of checkpoints.json, else the "
        "newest finished runs below runs/",
    )
    arguments = parser.parse_args()
    try:
        page = build(arguments.checkpoints or loading.listed(HERE), Path("runs"))
    except (ValueError, OSError) as error:
        sys.exit(f"app: {error}")
    page.launch(
        theme=THEME,
        css_paths=HERE / "demo" / "style.css",
        ssr_mode=False,
        footer_links=[],
        max_file_size=0,  # nothing is uploaded here
    )


if __name__ == "__main__":
    main()
