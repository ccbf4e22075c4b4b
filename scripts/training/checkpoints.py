"""Checkpoints of a trial: folders that an interrupted one goes on from.

A checkpoint is written next to its place and renamed when it is whole, so that a kill at any moment
leaves either the whole of it or the one before. What a power cut or a bad disk does to it later is
found by checksums, and then too the one before is used. Nothing in it is a pickle: weights and the
optimizer's state are safetensors, the rest is JSON; the learning rate follows from the step.
"""

import hashlib
import json
import random
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from scripts.core.io import file_sha256
from scripts.training.distributed import Accelerator, from_main, gather
from scripts.training.recipes import Recipe
from scripts.training.train_state import TrainState
from vsc_models.modeling_mixer import saved_tensors

MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
RANDOM_FILE = "random.json"
"""The states of the random generators, a list by the processes' ranks."""

STATE_FILE = "progress.txt"
"""A checksum, a space, and the state with the checksums of all other files as JSON."""

MAX_KEPT = 2


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one trial, in its folder: of `model` and `optimizer`.

    `identity` is its recipe, seed and code: nothing else may go on from them.
    """

    folder: Path
    identity: Mapping[str, Any]
    model: nn.Module
    optimizer: Optimizer
    accelerator: Accelerator

    def save(self, state: TrainState) -> None:
        """Write a checkpoint, and remove older ones; of an OSError those before are kept."""
        random_states = gather(_random_state())
        if self.accelerator.is_main_process:
            with replace_folder(self.folder / f"checkpoint-{state.step:08d}") as folder:
                tensors = saved_tensors(self.model, remove_duplicate=True)
                weights = {name: one.detach().contiguous() for name, one in tensors.items()}
                save_file(weights, folder / MODEL_FILE)
                save_file(_optimizer_tensors(self.optimizer), folder / OPTIMIZER_FILE)
                (folder / RANDOM_FILE).write_text(json.dumps(random_states), "utf-8")
                text = json.dumps(
                    {
                        "state": asdict(state),
                        "identity": self.identity,
                        "written_by": self._workers(),
                        "sha256": {
                            path.name: file_sha256(path) for path in sorted(folder.iterdir())
                        },
                    }
                )
                digest = hashlib.sha256(text.encode()).hexdigest()
                (folder / STATE_FILE).write_text(f"{digest} {text}", "utf-8")
            for old in _finished(self.folder)[:-MAX_KEPT]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def load_newest(self) -> TrainState | None:
        """Load the newest good checkpoint into model and optimizer; None if there is none.

        One that is torn, or of another recipe or seed, is named on stderr and set aside.
        """
        newest = from_main(self.accelerator, self._find_newest)
        if newest is None:
            return None
        name, state = newest
        path, rank = self.folder / name, self.accelerator.process_index
        weights = saved_tensors(self.model)
        for weight, tensor in load_file(path / MODEL_FILE).items():
            weights[weight].detach().copy_(tensor)
        _load_optimizer(self.optimizer, load_file(path / OPTIMIZER_FILE))
        random_states = json.loads((path / RANDOM_FILE).read_text("utf-8"))
        _set_random_state(random_states[rank % len(random_states)])
        return TrainState(**state)

    def _find_newest(self) -> tuple[str, dict[str, Any]] | None:
        """Find name and state of the newest good checkpoint, and set aside those that are bad."""
        for path in reversed(_finished(self.folder)):
            if list(path.glob("*.pkl")):
                raise ValueError(
                    f"{path} holds pickles of an earlier version, which are not read any more: "
                    "resume with that version, or choose another --output-dir"
                )
            try:
                return path.name, self._read(path)
            except (ValueError, FileNotFoundError) as error:
                print(f"train: {path} is left out: {error}", file=sys.stderr)
                aside = path.with_name(f"{path.name}.refused")  # or it would count as one to keep
                shutil.rmtree(aside, ignore_errors=True)  # an earlier one of this step
                path.rename(aside)
            except OSError as error:  # the checkpoint may be whole
                reason = error.strerror or error
                raise OSError(f"{path} cannot be read ({reason}): resume again") from None
        return None

    def _read(self, path: Path) -> dict[str, Any]:
        """Read the state of a checkpoint; ValueError where its files are not those it lists."""
        digest, _, text = (path / STATE_FILE).read_text("utf-8", errors="replace").partition(" ")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise ValueError(f"{STATE_FILE} is torn")
        written = json.loads(text)
        ours, theirs = dict(self.identity), written["identity"]
        recipe = Recipe.from_dict(theirs.pop("recipe"))
        if not Recipe.from_dict(ours.pop("recipe")).same_training(recipe) or ours != theirs:
            raise ValueError("it belongs to another recipe, layer file or seed")
        for name, digest in written["sha256"].items():
            if file_sha256(path / name) != digest:
                raise ValueError(f"{name} is torn")
        if written["written_by"] != self._workers():
            print(
                f"train: {path} was written by {written['written_by']}, it goes on with "
                f"{self._workers()}: the bits will differ from an uninterrupted run's",
                file=sys.stderr,
            )
        state: dict[str, Any] = written["state"]
        return state

    def _workers(self) -> str:
        """Name processes and threads: the sums of floats depend on them."""
        return f"{self.accelerator.num_processes} processes of {torch.get_num_threads()} threads"


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to write to; it replaces `path` when the block succeeds."""
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    except (OSError, SafetensorError) as error:  # safetensors has an error of its own
        raise cannot_write(path, error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def cannot_write(
    path: Path, error: Exception, hint: str = "free space or allow writing, then resume"
) -> OSError:
    """Make one line of what kept a file or folder from being written."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return OSError(f"{path} cannot be written ({reason}): {hint}")


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a trial that has its record."""
    for path in folder.glob("checkpoint-*"):
        shutil.rmtree(path)


def _finished(folder: Path) -> list[Path]:
    """List finished checkpoints, oldest first."""
    folders = (path.parent for path in folder.glob(f"checkpoint-*[0-9]/{STATE_FILE}"))
    return sorted(folders, key=lambda path: int(path.name.rpartition("-")[2]))


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Name the state of each parameter NUMBER.NAME; the groups follow from the recipe."""
    return {
        f"{number}.{name}": torch.as_tensor(value).contiguous()
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def _load_optimizer(optimizer: Optimizer, saved: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in saved.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _random_state() -> dict[str, Any]:
    """Read all generators that a layer may draw from, as JSON."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [name, np.asarray(keys).tolist(), *rest],
        "torch": torch.get_rng_state().tolist(),
        "cuda": [state.tolist() for state in torch.cuda.get_rng_state_all()],
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if len(state["cuda"]) == torch.cuda.device_count():
        states = [torch.tensor(one, dtype=torch.uint8) for one in state["cuda"]]
        torch.cuda.set_rng_state_all(states)
