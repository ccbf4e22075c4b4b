"""Runs and the Space's bundle -> a folder in which the demo runs without a hub."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.publishing.bundles import MARKER, assemble
from scripts.publishing.cards import HUB_CARDS

CHECKPOINT = ("config.json", "model.safetensors", "run.json")
"""What the page needs of a run: its models' code comes with the wheel."""

SHOWN = 3
"""Runs that are taken where none is named."""


def newest_runs(folder: Path) -> list[Path]:
    """The runs of a folder that finished last.

    Raises:
      ValueError: there is none.
    """
    weights = sorted(folder.glob("*/model.safetensors"), key=lambda path: path.stat().st_mtime_ns)
    finished = [path.parent for path in weights if (path.parent / "config.json").exists()]
    if not finished:
        raise ValueError(f"{folder} holds no finished run: make one with `make train`")
    return finished[-SHOWN:]


def write_demo(folder: Path, runs: Sequence[Path]) -> None:
    """Write what the Space's repository would hold, and the runs below checkpoints/.

    Args:
      folder: written anew; one that this did not write must be empty or missing.
      runs: folders with a checkpoint, of different names.
    Raises:
      ValueError: a run holds no checkpoint that an Auto class loads, two have one name, or the
        folder holds other things.
    """
    names = [run.resolve().name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"runs {', '.join(names)}: two have the same name")
    for run in runs:
        if not (run / "model.safetensors").exists():
            raise ValueError(f"{run} holds no checkpoint: give a finished run")
        if not (run / "config.json").exists():
            raise ValueError(f"{run}: a model that a function made cannot be asked here")
    if folder.exists() and any(folder.iterdir()) and not _is_demo(folder):
        raise ValueError(f"{folder} holds something else: choose another --output-dir")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with TemporaryDirectory() as scratch:
        bundle = assemble("space", HUB_CARDS / "space", "local/demo", Path(scratch))
        for name, content in bundle.files.items():
            _put(partial / name, content)
    for run, name in zip(runs, names, strict=True):
        for wanted in CHECKPOINT:
            if (run / wanted).exists():
                _put(partial / "checkpoints" / name / wanted, run / wanted)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _is_demo(folder: Path) -> bool:
    """Whether `write_demo` wrote it: a clone of a Space has no checkpoints in it."""
    try:
        kind = json.loads((folder / MARKER).read_text("utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(kind == "space" and (folder / "checkpoints").is_dir())


def _put(path: Path, content: Path | bytes) -> None:
    """Write a file, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
