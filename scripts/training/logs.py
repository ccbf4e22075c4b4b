"""Points of a trial on its way -> log.jsonl, the terminal and the trackers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scripts.core.io import replace_file
from scripts.training.distributed import Accelerator
from scripts.training.loop import Progress
from scripts.training.recipes import Recipe

LOG_FILE = "log.jsonl"


def keep_until(folder: Path, step: int) -> None:
    """Leave in log.jsonl what was written up to `step`: what comes behind is done again."""
    path = folder / LOG_FILE
    if not path.exists():
        return
    *whole, _ = path.read_text("utf-8", errors="replace").split("\n")
    kept = [line for line in whole if json.loads(line)["step"] <= step]
    with replace_file(path) as tmp_path:
        tmp_path.write_text("".join(f"{line}\n" for line in kept), "utf-8")


def append_line(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add a line to log.jsonl.

    Raises:
      OSError: it cannot be written; the message says where and why.
    """
    path = folder / LOG_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise OSError(
            f"{path} cannot be written ({error.strerror}): make room and resume"
        ) from None


def start_trackers(accelerator: Accelerator, recipe: Recipe, seed: int) -> None:
    """Tell the trackers what is trained; without any nothing happens."""
    if not accelerator.log_with:
        return
    settings = {**recipe.to_json(), "seed": seed}
    plain = {k: v if isinstance(v, int | float | str) else str(v) for k, v in settings.items()}
    accelerator.init_trackers("vsc", config=plain)


def end_trackers(accelerator: Accelerator) -> None:
    """Let the trackers finish; `end_training` would take the processes apart, too."""
    for tracker in accelerator.trackers:
        tracker.finish()


def progress_bar(recipe: Recipe, progress: Progress, label: str, place: int, shown: bool) -> Any:
    """The progress bar, in questions: rate and time left stand behind it."""
    return tqdm(
        total=recipe.num_steps * recipe.batch_size,
        initial=progress.step * recipe.batch_size,
        desc=label,
        position=place,
        unit="q",
        unit_scale=True,
        disable=not shown,
    )


def status(progress: Progress, points: Sequence[Mapping[str, Any]]) -> str:
    """What stands behind the bar: loss and the newest errors."""
    words = f"loss {progress.train_loss:.4f}"
    if points:
        errors = points[-1]["sample_error_pct"], points[-1]["mask_error_pct"]
        words += ", sample error {:.2f} %, mask error {:.2f} %".format(*errors)
    return words
