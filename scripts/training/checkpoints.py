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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from scripts.training.distributed import broadcast, gather
from scripts.training.recipes import Recipe
from scripts.training.train_state import TrainState

if TYPE_CHECKING:
    from scripts.training.distributed import Accelerator

PARTIAL = ".partial"
REFUSED = ".refused"
STATE_FILE = "progress.txt"
"""A checksum, a space, and the state as JSON."""

RANDOM_FILE = "random.json"
"""The states of the random generators, a list by the processes' ranks."""

MAX_KEPT = 2


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one trial.

    Attributes:
      folder: of the trial.
      identity: recipe, seed and code: nothing else may go on from its checkpoints.
      model, optimizer: what is saved, and loaded into.
      accelerator: of the processes that train together.
    """

    folder: Path
    identity: Mapping[str, Any]
    model: nn.Module
    optimizer: Optimizer
    accelerator: "Accelerator"

    def save(self, state: TrainState) -> None:
        """Write a checkpoint, and remove older ones.

        Raises:
          OSError: it cannot be written; the ones before are kept.
        """
        random_states = gather(self.accelerator, _random_state())
        if self.accelerator.is_main_process:
            self._write(state, random_states)
        self.accelerator.wait_for_everyone()

    def _write(self, state: TrainState, random_states: list[dict[str, Any]]) -> None:
        """Write the files, and make them count in one rename."""
        target = self.folder / f"checkpoint-{state.step:08d}"
        partial = target.with_name(target.name + PARTIAL)
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            (partial / RANDOM_FILE).write_text(json.dumps(random_states), "utf-8")
            save_file(_model_tensors(self.model), partial / "model.safetensors")
            save_file(_optimizer_tensors(self.optimizer), partial / "optimizer.safetensors")
            self._seal(partial, state)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
            for old in _whole(self.folder)[:-MAX_KEPT]:
                _remove(old)
        except (OSError, SafetensorError) as error:  # safetensors has an error of its own
            shutil.rmtree(partial, ignore_errors=True)
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise OSError(f"{target} cannot be written ({reason}): make room and resume") from None

    def _seal(self, partial: Path, state: TrainState) -> None:
        """Write the state with the checksums of all other files."""
        kept: dict[str, Any] = {"state": state.to_json(), "identity": self.identity}
        kept["written_by"] = self._workers()
        kept["sha256"] = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
        text = json.dumps(kept)
        line = f"{hashlib.sha256(text.encode()).hexdigest()} {text}"
        (partial / STATE_FILE).write_text(line, "utf-8")

    def load_newest(self) -> TrainState | None:
        """Load the newest good checkpoint into model and optimizer; None if there is none.

        One that is torn, or of another recipe or seed, is named on stderr and set aside.
        """
        found: tuple[str, dict[str, Any]] | None = None
        if self.accelerator.is_main_process:
            found = self._find_newest()
        found = broadcast(self.accelerator, found)
        if found is None:
            return None
        path, state = self.folder / found[0], TrainState(**found[1])
        _load_model(self.model, load_file(path / "model.safetensors"))
        _load_optimizer(self.optimizer, load_file(path / "optimizer.safetensors"))
        random_states = json.loads((path / RANDOM_FILE).read_text("utf-8"))
        rank = self.accelerator.process_index
        _set_random_state(random_states[rank % len(random_states)])
        return state

    def _find_newest(self) -> tuple[str, dict[str, Any]] | None:
        """Find the newest good checkpoint: its name and state."""
        for path in reversed(_whole(self.folder)):
            if list(path.glob("*.pkl")):
                raise ValueError(
                    f"{path} holds pickles of an earlier version, which are not read any more: "
                    "resume with that version, or choose another --output-dir"
                )
            try:
                return path.name, self._read(path)
            except (ValueError, OSError) as error:
                print(f"train: {path} is left out: {error}", file=sys.stderr)
                aside = path.with_name(path.name + REFUSED)  # or it would count as one to keep
                shutil.rmtree(aside, ignore_errors=True)  # an earlier one of this step
                path.rename(aside)
        return None

    def _read(self, path: Path) -> dict[str, Any]:
        """Read the state of a checkpoint; ValueError where its files are not those it lists."""
        digest, _, text = (path / STATE_FILE).read_text("utf-8", errors="replace").partition(" ")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise ValueError(f"{STATE_FILE} is torn")
        kept = json.loads(text)
        if not self._is_ours(kept["identity"]):
            raise ValueError("it belongs to another recipe, layer file or seed")
        for name, digest in kept["sha256"].items():
            if _sha256(path / name) != digest:
                raise ValueError(f"{name} is torn")
        if kept["written_by"] != self._workers():
            print(
                f"train: {path} was written by {kept['written_by']}, it goes on with "
                f"{self._workers()}: the bits will differ from an uninterrupted run's",
                file=sys.stderr,
            )
        state: dict[str, Any] = kept["state"]
        return state

    def _workers(self) -> str:
        """Processes and threads in words: the sums of floats depend on them."""
        return f"{self.accelerator.num_processes} processes of {torch.get_num_threads()} threads"

    def _is_ours(self, kept: Mapping[str, Any]) -> bool:
        """Whether a checkpoint has our bits: of the same training, seed and user's code."""
        ours, theirs = (Recipe.from_dict(one["recipe"]) for one in (self.identity, kept))
        rest = ({**one, "recipe": None} for one in (self.identity, kept))
        return ours.same_training(theirs) and next(rest) == next(rest)


def remove_all(folder: Path) -> None:
    """Remove all checkpoints of a trial that has its record."""
    for path in folder.glob("checkpoint-*"):
        _remove(path)


def _model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers, each tensor once, under their true names.

    Not `state_dict`, which a custom layer may change.
    """
    tensors: dict[str, Tensor] = dict(model.named_parameters())
    for prefix, module in model.named_modules():
        for name, buffer in module.named_buffers(prefix, recurse=False):
            if name.rpartition(".")[2] not in module._non_persistent_buffers_set:
                tensors[name] = buffer
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


@torch.no_grad()
def _load_model(model: nn.Module, saved: Mapping[str, Tensor]) -> None:
    tensors: dict[str, Tensor] = {**dict(model.named_buffers()), **dict(model.named_parameters())}
    for name, tensor in saved.items():
        tensors[name].copy_(tensor)


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The state of each parameter as NUMBER.NAME; the groups follow from the recipe."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value).contiguous()
        for number, values in state.items()
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
    """The states of all generators that a layer may draw from, as JSON."""
    name, keys, *rest = np.random.get_state(legacy=True)
    cuda = [state.tolist() for state in torch.cuda.get_rng_state_all()]
    return {
        "python": random.getstate(),
        "numpy": [name, np.asarray(keys).tolist(), *rest],
        "torch": torch.get_rng_state().tolist(),
        "cuda": cuda,
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if len(state["cuda"]) == torch.cuda.device_count():
        states = [torch.tensor(one, dtype=torch.uint8) for one in state["cuda"]]
        torch.cuda.set_rng_state_all(states)


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
    found = (path.parent for path in folder.glob(f"checkpoint-*[0-9]/{STATE_FILE}"))
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))
