"""The log of a trial: log.jsonl, the progress bar and the trackers hear of every line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scripts.core.io import check_shape, read_jsonl, write_lines
from scripts.training.checkpoints import cannot_write
from scripts.training.distributed import Accelerator
from scripts.training.train_state import Job, RunOptions, TrainState

LOG_FILE = "log.jsonl"


class TrialLog:
    """Where a trial tells how it goes; a context that closes its bar and its trackers."""

    def __init__(
        self, job: Job, state: TrainState, accelerator: Accelerator, options: RunOptions
    ) -> None:
        recipe, seed, self.folder, label = job
        self.accelerator, self.batch_size = accelerator, recipe.batch_size
        if accelerator.is_main_process:
            truncate_log(self.folder, state.step)
        self.bar = tqdm(
            total=recipe.num_steps * recipe.batch_size,
            initial=state.step * recipe.batch_size,
            desc=label,
            position=options.bar_position,
            unit=" samples",
            unit_scale=True,
            disable=not accelerator.is_main_process,
        )
        if accelerator.log_with:
            accelerator.project_configuration.set_directories(str(self.folder))
            settings = {**recipe.to_json(), "seed": seed}
            plain = {k: v if isinstance(v, int | float) else str(v) for k, v in settings.items()}
            accelerator.init_trackers("vsc", config=plain)

    def __enter__(self) -> "TrialLog":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()
        if error[0] is None:
            # Not `end_training`, which would take the processes apart, too.
            for tracker in self.accelerator.trackers:
                tracker.finish()

    def write(self, state: TrainState, learning_rate: float, validated: bool) -> None:
        """Tell where the trial stands, and if it was just validated its errors.

        Raises:
          OSError: log.jsonl cannot be written; the message says where and why.
        """
        entry = {
            "step": state.step,
            "samples": state.step * self.batch_size,
            "seconds": round(state.seconds, 3),
            "train_loss": state.train_loss,
            "learning_rate": learning_rate,
            **(state.points[-1] if validated else {}),
        }
        if self.accelerator.is_main_process:
            append_line(self.folder, entry)
        self.accelerator.log(entry, step=state.step)
        self.bar.update(entry["samples"] - self.bar.n)
        text = f"loss {state.train_loss:.4f}"
        if state.points:
            newest = state.points[-1]
            text += f", sample error {newest['sample_error_pct']:.2f}%"
            text += f", mask error {newest['mask_error_pct']:.2f}%"
        self.bar.set_postfix_str(text, refresh=False)


def truncate_log(folder: Path, step: int) -> None:
    """Leave in log.jsonl what was written up to `step`: what comes after is done again.

    Raises:
      ValueError: a line is damaged; the message names file and line.
    """
    path = folder / LOG_FILE
    if path.exists():
        entries = read_jsonl(path, _check_entry)
        write_lines(path, [json.dumps(entry) for entry in entries if entry["step"] <= step])


def _check_entry(entry: dict[str, Any]) -> dict[str, Any]:
    check_shape(entry, {"step": int}, "it")
    return entry


def append_line(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add a line to log.jsonl."""
    path = folder / LOG_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise cannot_write(path, error) from None
