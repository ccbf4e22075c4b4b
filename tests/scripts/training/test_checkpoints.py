"""Checkpoints: a torn or foreign one is refused, and the one before it used."""

import errno
import shutil

import pytest
import torch

from scripts.training import checkpoints, trials
from scripts.training.distributed import make_accelerator
from scripts.training.loop import Progress
from scripts.training.recipes import Recipe

RECIPE = Recipe(name="x", data="swap-nops2", model="vsc_delta", loss="answer")
IDENTITY = {"recipe": RECIPE.to_json(), "seed": 0}


@pytest.fixture
def trial(tmp_path):
    """Two checkpoints of weights that are all 1 and all 2, and what to load them into."""
    accelerator = make_accelerator()
    trainee = trials.make_trainee(RECIPE, accelerator)
    for step in (1, 2):
        with torch.no_grad():
            for weight in trainee.model.parameters():
                weight.fill_(step)
        progress = Progress(step=step, train_loss=1.0)
        checkpoints.save(tmp_path, accelerator, progress, [{"samples": step}], IDENTITY)
    return tmp_path, accelerator, trainee.model


def load(trial, identity=IDENTITY) -> int | None:
    """The step that is gone on from; the weights must be its."""
    folder, accelerator, model = trial
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    found = checkpoints.load_newest(folder, accelerator, identity)
    if found is None:
        return None
    progress, points = found
    assert points == [{"samples": progress.step}]
    assert all((weight == progress.step).all() for weight in model.parameters())
    return progress.step


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_whole_checkpoint_is_used(trial):
    folder, *_ = trial
    (folder / "checkpoint-00000003.partial").mkdir()
    (folder / "checkpoint-00000004").mkdir()
    assert load(trial) == 2


FILES = ["model.safetensors", "optimizer.bin", "custom_checkpoint_0.pkl", "random_states_0.pkl"]


@pytest.mark.parametrize("name", [*FILES, "progress.txt"])
@pytest.mark.parametrize("fault", ["cut", "flipped", "gone"])
def test_a_torn_checkpoint_is_refused_and_the_one_before_used(trial, capsys, name, fault):
    folder, *_ = trial
    path = folder / "checkpoint-00000002" / name
    content = path.read_bytes()
    middle = len(content) // 2
    if fault == "gone":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(content[:-1])
    else:
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    assert load(trial) == 1
    if (name, fault) != ("progress.txt", "gone"):  # then it was never whole
        assert "checkpoint-00000002 is left out" in capsys.readouterr().err
        assert "checkpoint-00000002.refused" in names(folder)


def test_a_digit_that_turns_in_the_progress_is_found(trial):
    folder, *_ = trial
    path = folder / "checkpoint-00000002" / "progress.txt"
    path.write_text(path.read_text().replace('"train_loss": 1.0', '"train_loss": 3.0'))
    assert load(trial) == 1


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


def test_another_description_is_no_other_recipe(trial):
    assert load(trial, {**IDENTITY, "recipe": {**RECIPE.to_json(), "description": "new"}}) == 2


def test_a_checkpoint_older_than_a_field_was_made_as_its_default_says(trial):
    older = {key: value for key, value in RECIPE.to_json().items() if key != "early_stop_pct"}
    assert load(trial, {**IDENTITY, "recipe": older}) == 2


def test_the_same_step_may_be_torn_twice(trial):
    folder, *_ = trial
    newest, copy = folder / "checkpoint-00000002", folder / "copy"
    (newest / "optimizer.bin").write_bytes(b"")
    shutil.copytree(newest, copy)
    assert load(trial) == 1
    copy.rename(newest)
    assert load(trial) == 1
    assert names(folder) == ["checkpoint-00000001", "checkpoint-00000002.refused"]


def test_a_refused_checkpoint_pushes_no_good_one_out(trial):
    folder, accelerator, _ = trial
    path = folder / "checkpoint-00000002" / "optimizer.bin"
    path.write_bytes(b"")
    shutil.move(folder / "checkpoint-00000002", folder / "checkpoint-00000009")
    assert load(trial) == 1
    for step in (3, 4):
        progress = Progress(step=step, train_loss=1.0)
        checkpoints.save(folder, accelerator, progress, [], IDENTITY)
    kept = [name for name in names(folder) if not name.endswith(".refused")]
    assert kept == ["checkpoint-00000003", "checkpoint-00000004"]
    checkpoints.drop(folder)
    assert names(folder) == []


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("failed writing file data/0")],
)
def test_a_full_disk_is_one_line_and_costs_nothing(trial, monkeypatch, error):
    folder, accelerator, _ = trial

    def full(path):
        raise error

    monkeypatch.setattr(accelerator, "save_state", full)
    with pytest.raises(OSError, match=r"cannot be written \(.*\): make room and resume"):
        checkpoints.save(folder, accelerator, Progress(step=3), [], IDENTITY)
    assert names(folder) == ["checkpoint-00000001", "checkpoint-00000002"]
    assert load(trial) == 2
