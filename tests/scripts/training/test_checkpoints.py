"""Checkpoints: a torn or foreign one is refused, and the one before it used."""

import errno
import pickle
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from scripts.training import checkpoints
from scripts.training.checkpoints import CheckpointFolder
from scripts.training.distributed import make_accelerator
from scripts.training.loop import make_model, make_scheduler, train_step
from scripts.training.recipes import Recipe
from scripts.training.train_state import TrainState
from vsc_dataset import TrainingStream

RECIPE = Recipe(name="x", data="swap-nops2", model="vsc_delta", loss="answer")
IDENTITY = {"recipe": RECIPE.to_json(), "seed": 0}


def state_at(step: int) -> TrainState:
    return TrainState(step=step, train_loss=1.0, points=[{"samples": step}])


@pytest.fixture
def trial(tmp_path) -> CheckpointFolder:
    """Two checkpoints of weights that are all 1 and all 2, and what to load them into."""
    accelerator = make_accelerator()
    model, optimizer = make_model(RECIPE, 0, accelerator)
    found = CheckpointFolder(tmp_path, IDENTITY, model, optimizer, accelerator)
    for step in (1, 2):
        with torch.no_grad():
            for weight in model.parameters():
                weight.fill_(step)
        found.save(state_at(step))
    return found


def load(trial, identity=IDENTITY) -> int | None:
    """The step that is gone on from; the weights must be its."""
    with torch.no_grad():
        for weight in trial.model.parameters():
            weight.zero_()
    state = replace(trial, identity=identity).load_newest()
    if state is None:
        return None
    assert state == state_at(state.step)
    assert all((weight == state.step).all() for weight in trial.model.parameters())
    return state.step


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_whole_checkpoint_is_used(trial):
    folder = trial.folder
    (folder / "checkpoint-00000003.partial").mkdir()
    (folder / "checkpoint-00000004").mkdir()
    assert load(trial) == 2


FILES = ["model.safetensors", "optimizer.safetensors", "random.json"]


@pytest.mark.parametrize("name", [*FILES, "progress.txt"])
@pytest.mark.parametrize("fault", ["cut", "flipped", "gone"])
def test_a_torn_checkpoint_is_refused_and_the_one_before_used(trial, capsys, name, fault):
    folder = trial.folder
    path = folder / "checkpoint-00000002" / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1] if fault == "flipped" else []))
    if fault == "gone":
        path.unlink()
    assert load(trial) == 1
    if (name, fault) != ("progress.txt", "gone"):  # then it was never whole
        assert "checkpoint-00000002 is left out" in capsys.readouterr().err
        assert "checkpoint-00000002.refused" in names(folder)


def test_a_disk_that_cannot_be_read_costs_no_checkpoint(trial, monkeypatch):
    def fail(path):
        raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "file_sha256", fail)
        with pytest.raises(ValueError, match=r"00000002 cannot be read .* error\): resume again"):
            load(trial)
    assert load(trial) == 2


@pytest.mark.parametrize(
    "foreign",
    [
        {**IDENTITY, "seed": 1},
        {**IDENTITY, "recipe": {**RECIPE.to_json(), "loss": "all"}},
        {**IDENTITY, "code": {"mixer": "0"}},
    ],
)
def test_a_foreign_checkpoint_is_refused(trial, capsys, foreign):
    assert load(trial, foreign) is None
    assert "it belongs to another recipe, layer file or seed" in capsys.readouterr().err


def test_neither_another_description_nor_a_field_that_came_later_is_another_recipe(trial):
    kept = {**RECIPE.to_json(), "description": "new"}
    del kept["early_stop_pct"]  # it was made as the default says
    assert load(trial, {**IDENTITY, "recipe": kept}) == 2


def test_the_same_step_may_be_torn_twice(trial):
    folder = trial.folder
    newest, copy = folder / "checkpoint-00000002", folder / "copy"
    (newest / "random.json").write_bytes(b"")
    shutil.copytree(newest, copy)
    assert load(trial) == 1
    copy.rename(newest)
    assert load(trial) == 1
    assert names(folder) == ["checkpoint-00000001", "checkpoint-00000002.refused"]


def test_a_refused_checkpoint_pushes_no_good_one_out(trial):
    folder = trial.folder
    (folder / "checkpoint-00000002" / "random.json").write_bytes(b"")
    shutil.move(folder / "checkpoint-00000002", folder / "checkpoint-00000009")
    assert load(trial) == 1
    for step in (3, 4):
        trial.save(state_at(step))
    kept = [name for name in names(folder) if not name.endswith(".refused")]
    assert kept == ["checkpoint-00000003", "checkpoint-00000004"]
    checkpoints.remove_checkpoints(folder)
    assert names(folder) == []


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: no space")],
)
def test_a_full_disk_is_one_line_and_costs_nothing(trial, monkeypatch, error):
    def full(*_):
        raise error

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match=r"cannot be written \(.*\): free space or allow writing"):
        trial.save(state_at(3))
    assert names(trial.folder) == ["checkpoint-00000001", "checkpoint-00000002"]
    assert load(trial) == 2


def test_nothing_in_a_checkpoint_is_a_pickle_and_an_old_one_is_refused(trial, tmp_path):
    files = {path.name for path in (trial.folder / "checkpoint-00000002").iterdir()}
    assert files == {*FILES, "progress.txt"}
    planted = trial.folder / "checkpoint-00000002" / "custom_checkpoint_0.pkl"
    planted.write_bytes(pickle.dumps(Planted(tmp_path / "it-ran")))
    with pytest.raises(ValueError, match="holds pickles of an earlier version, which are not read"):
        load(trial)
    assert not (tmp_path / "it-ran").exists()


class Planted:
    """What leaves a mark when it is unpickled."""

    def __init__(self, mark) -> None:
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def test_steps_beyond_eight_digits_are_the_newest(trial):
    trial.save(state_at(10**8))
    assert names(trial.folder) == ["checkpoint-00000002", "checkpoint-100000000"]
    trial.save(state_at(10**8 + 1))
    assert names(trial.folder) == ["checkpoint-100000000", "checkpoint-100000001"]


def test_generators_and_optimizer_go_on_where_they_stood(trial):
    scheduler = make_scheduler(RECIPE, trial.optimizer, 0)
    stream = TrainingStream(RECIPE.config, RECIPE.batch_size)

    def step() -> torch.Tensor:
        others = (RECIPE, trial.accelerator, trial.optimizer, scheduler)
        return train_step(trial.model, next(stream), *others)

    def drawn() -> list[float]:
        return [torch.rand(()).item(), random.random(), np.random.rand()]

    step()
    trial.save(state_at(3))
    expected = [*drawn(), step()]
    weights = [weight.clone() for weight in trial.model.parameters()]
    assert trial.load_newest() == state_at(3)
    scheduler = make_scheduler(RECIPE, trial.optimizer, 1)
    stream = TrainingStream(RECIPE.config, RECIPE.batch_size, start=RECIPE.batch_size)
    assert [*drawn(), step()] == expected
    assert all(map(torch.equal, weights, trial.model.parameters()))


def test_going_on_with_other_threads_is_told(trial, capsys):
    assert load(trial) == 2
    assert not capsys.readouterr().err
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert load(trial) == 2
    finally:
        torch.set_num_threads(threads)
    told = f"written by 1 processes of {threads} threads, it goes on with 1 processes of"
    assert told in capsys.readouterr().err
