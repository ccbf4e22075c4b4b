"""A trial on its way <-> folders that it can go on from.

A checkpoint is written beside its place and renamed when it is whole, so that a kill at any moment
leaves either the whole of it or the one before.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.training.loop import Progress
from scripts.training.processes import Accelerator

PARTIAL = ".partial"
KEPT = 2


def save(
    folder: Path, accelerator: Accelerator, progress: Progress, points: list[dict[str, Any]]
) -> None:
    """Write a checkpoint of all that the accelerator has prepared, and remove older ones."""
    target = folder / f"checkpoint-{progress.step:08d}"
    partial = target.with_name(target.name + PARTIAL)
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        state = {"progress": asdict(progress), "points": points}
        (partial / "progress.json").write_text(json.dumps(state), "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        for old in _whole(folder)[:-KEPT]:
            _remove(old)
    accelerator.wait_for_everyone()


def load_newest(
    folder: Path, accelerator: Accelerator
) -> tuple[Progress, list[dict[str, Any]]] | None:
    """Put the newest whole checkpoint into what the accelerator has prepared; None if none is."""
    whole = _whole(folder)
    if not whole:
        return None
    state = json.loads((whole[-1] / "progress.json").read_text("utf-8"))
    accelerator.load_state(str(whole[-1]))
    return Progress(**state["progress"]), state["points"]


def drop(folder: Path) -> None:
    """Remove all checkpoints of a trial that has its record."""
    for path in folder.glob("checkpoint-*"):
        _remove(path)


def _remove(path: Path) -> None:
    """Remove a checkpoint; a kill in the middle leaves nothing that counts as whole."""
    condemned = path if path.suffix == PARTIAL else path.with_name(path.name + PARTIAL)
    if condemned != path:
        shutil.rmtree(condemned, ignore_errors=True)
        path.rename(condemned)
    shutil.rmtree(condemned)


def _whole(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(path.parent for path in folder.glob("checkpoint-*[0-9]/progress.json"))
