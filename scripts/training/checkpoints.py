"""A trial on its way <-> folders that it can go on from.

A checkpoint is written beside its place and renamed when it is whole, so that a kill at any moment
leaves either the whole of it or the one before. What a power cut or a bad disk does to it later is
found by checksums, and then too the one before is used.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from scripts.training.distributed import Accelerator, agree
from scripts.training.loop import Progress
from scripts.training.recipes import Recipe

PARTIAL = ".partial"
REFUSED = ".refused"
PROGRESS_FILE = "progress.txt"
"""A checksum, a space, and the state as JSON."""

KEPT = 2


def save(
    folder: Path,
    accelerator: Accelerator,
    progress: Progress,
    points: list[dict[str, Any]],
    identity: Mapping[str, Any],
) -> None:
    """Write a checkpoint of all that the accelerator has prepared, and remove older ones.

    Args:
      folder: of the trial.
      accelerator, progress, points: what is to be found again.
      identity: recipe, seed and code; only they may go on from it.
    Raises:
      OSError: it cannot be written; the ones before are kept.
    """
    target = folder / f"checkpoint-{progress.step:08d}"
    partial = target.with_name(target.name + PARTIAL)
    try:
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            state = {"progress": asdict(progress), "points": points, "identity": identity}
            state["sha256"] = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
            text = json.dumps(state)
            line = f"{hashlib.sha256(text.encode()).hexdigest()} {text}"
            (partial / PROGRESS_FILE).write_text(line, "utf-8")
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
            for old in _whole(folder)[:-KEPT]:
                _remove(old)
    # On a full disk torch raises a RuntimeError and safetensors an error of its own.
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OSError(f"{target} cannot be written ({reason}): make room and resume") from None
    accelerator.wait_for_everyone()


def load_newest(
    folder: Path, accelerator: Accelerator, identity: Mapping[str, Any]
) -> tuple[Progress, list[dict[str, Any]]] | None:
    """Put the newest good checkpoint into what the accelerator has prepared; None if none is.

    One that is torn, or of another recipe or seed, is named on stderr and left out.
    """
    found: tuple[str, dict[str, Any]] | None = None
    if accelerator.is_main_process:
        found = _newest(folder, json.loads(json.dumps(identity)))
    found = agree(accelerator, found)
    if found is None:
        return None
    name, state = found
    accelerator.load_state(str(folder / name))
    return Progress(**state["progress"]), state["points"]


def drop(folder: Path) -> None:
    """Remove all checkpoints of a trial that has its record."""
    for path in folder.glob("checkpoint-*"):
        _remove(path)


def _newest(folder: Path, identity: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The name and the content of the newest checkpoint that is good; bad ones are set aside."""
    for path in reversed(_whole(folder)):
        try:
            return path.name, _read(path, identity)
        except (ValueError, OSError) as error:
            print(f"train: {path} is left out: {error}", file=sys.stderr)
            aside = path.with_name(path.name + REFUSED)  # or it would count as one to keep
            shutil.rmtree(aside, ignore_errors=True)  # an earlier one of this step
            path.rename(aside)
    return None


def _read(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a checkpoint; ValueError where its files are not those it lists."""
    digest, _, text = (path / PROGRESS_FILE).read_text("utf-8", errors="replace").partition(" ")
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        raise ValueError(f"{PROGRESS_FILE} is torn")
    state: dict[str, Any] = json.loads(text)
    if not _same(state["identity"], identity):
        raise ValueError("it belongs to another recipe, layer file or seed")
    for name, digest in state["sha256"].items():
        if _sha256(path / name) != digest:
            raise ValueError(f"{name} is torn")
    return state


def _same(kept: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether two trials have the same bits: recipe, seed, and the user's own code."""
    ours, theirs = (Recipe.from_dict(one["recipe"]) for one in (identity, kept))
    return ours.same_training(theirs) and {**kept, "recipe": None} == {**identity, "recipe": None}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    """Remove a checkpoint; a kill in the middle leaves nothing that counts as whole."""
    condemned = path if path.suffix else path.with_name(path.name + PARTIAL)
    if condemned != path:
        shutil.rmtree(condemned, ignore_errors=True)
        path.rename(condemned)
    shutil.rmtree(condemned)


def _whole(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(path.parent for path in folder.glob(f"checkpoint-*[0-9]/{PROGRESS_FILE}"))
