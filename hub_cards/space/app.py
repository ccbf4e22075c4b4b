"""This folder -> a page to ask the checkpoints in it: `python app.py`."""

import random
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr

HERE = Path(__file__).resolve().parent

if find_spec("vsc_dataset") is None:  # a Space installs packages before its own files are there
    packages = mkdtemp(prefix="vsc-")
    zipfile.ZipFile(next(HERE.glob("wheel/vsc_dataset-*.whl"))).extractall(packages)
    sys.path.append(packages)

from demo import asking, loading, results, showing  # noqa: E402

from vsc_dataset import CONFIGS, sample  # noqa: E402
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines  # noqa: E402

FIRST = "NPFKT:5>4 3>1 1>4 4>2 1>3"
FLOOR_CONFIG, FLOOR_SPLIT, FLOOR_ROWS = "swap-nops5", "test", 10_000
TITLE = "# Very Selective Copying\nLetters, a program of exchanges (`5>4`) and stack operations \
(`-2` takes a letter out, `+2` puts it back): which letters result?"
THEME = gr.themes.Base(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)


def build(folder: Path) -> gr.Blocks:
    """The page of a bundle: see `ask_tab` and `results_tab`."""
    checkpoints, faults = loading.load_all(loading.sources(folder))
    with gr.Blocks(title="Very Selective Copying", analytics_enabled=False) as page:
        gr.Markdown(TITLE)
        with gr.Tab("Ask"):
            ask_tab(checkpoints, faults)
        with gr.Tab("Results"):
            results_tab(folder)
    return page


def ask_tab(checkpoints: list[asking.Checkpoint], faults: list[str]) -> None:
    """Type or draw a question; see every checkpoint's answer beside the true one."""

    def answer(question: str) -> str:
        try:
            program = asking.read(question)
        except ValueError as error:
            return showing.error(str(error))
        followed = [asking.follow(program, checkpoint) for checkpoint in checkpoints]
        return showing.answers(program, followed, asking.steps(program))

    def draw(config: str, split: str, index: float | None) -> tuple[Any, str]:
        try:
            question = asking.draw(config, split, index)
        except ValueError as error:
            return gr.skip(), showing.error(str(error))
        return question, answer(question)

    def draw_any(config: str, split: str) -> tuple[Any, Any, str]:
        try:
            index = random.randrange(asking.num_rows(config, split))
        except ValueError as error:
            return gr.skip(), gr.skip(), showing.error(str(error))
        return index, *draw(config, split, index)

    def splits_of(config: str) -> Any:
        splits = CONFIGS[config].splits
        return gr.Dropdown(splits, value="test" if "test" in splits else splits[0])

    for fault in faults:
        gr.HTML(showing.error(fault))
    with gr.Row(elem_classes="vsc-row"):
        question = gr.Textbox(FIRST, label="Question", scale=5, elem_id="question")
        ask = gr.Button("Ask", variant="primary", scale=1, elem_id="ask")
    with gr.Row(elem_classes="vsc-row"):
        config = gr.Dropdown(list(CONFIGS), value="swap-nops5", label="or draw from", scale=2)
        split = gr.Dropdown(CONFIGS["swap-nops5"].splits, value="test", label="split", scale=2)
        index = gr.Number(0, label="row", precision=0, scale=1, elem_id="index")
        drawing = gr.Button("Draw this row", scale=1, elem_id="draw")
        any_row = gr.Button("Draw any row", scale=1, elem_id="draw-any")
    shown = gr.HTML(answer(FIRST), elem_id="answers")
    gr.on([ask.click, question.submit], answer, question, shown)
    drawing.click(draw, [config, split, index], [question, shown])
    any_row.click(draw_any, [config, split], [index, question, shown])
    config.change(splits_of, config, split)


def results_tab(folder: Path) -> None:
    """The leaderboard, the answers that need no model, and the pictures."""
    gr.Markdown("### Trials\nOn the test questions. Solved: at most 1 % sample error.")
    gr.HTML(showing.leaderboard(results.leaderboard(results.read_trials(folder / "results"))))
    gr.Markdown(
        f"### Floors\nWhat answers are worth that need no model, on the first {FLOOR_ROWS:,} rows "
        f"of `{FLOOR_CONFIG}`, {FLOOR_SPLIT}."
    )
    questions = sample(FLOOR_CONFIG, FLOOR_SPLIT, range(FLOOR_ROWS)).questions()
    gr.HTML(showing.floors(trivial_baselines(questions)))
    for kind in ("curves", "answers"):
        for picture in sorted((folder / "figures").glob(f"*{kind}.png")):
            gr.Image(str(picture), label=picture.stem, interactive=False, buttons=["fullscreen"])


if __name__ == "__main__":
    try:
        page = build(HERE)
    except (ValueError, OSError) as error:
        sys.exit(f"app: {error}")
    page.launch(theme=THEME, css_paths=HERE / "demo" / "style.css", ssr_mode=False, footer_links=[])
