"""Folders of runs: the newest is resumed, nothing torn counts, nothing blocks a second try."""

import json

import pytest

from scripts.training import checkpoints
from scripts.training.recipes import find_recipe
from scripts.training.runs import open_run

RECIPE = find_recipe("swap-delta")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_are_numbered_past_999_and_the_newest_is_resumed(folder):
    for number in ("001", "999", "1000"):
        (folder / "runs" / f"{number}-swap-delta").mkdir(parents=True)
    assert open_run(RECIPE, None, [0], False)[0].name == "1001-swap-delta"
    assert open_run(RECIPE, None, [0], False)[0].name == "1002-swap-delta"
    assert open_run(RECIPE, None, None, True)[0].name == "1002-swap-delta"


def test_a_resumed_run_keeps_its_seeds_and_takes_more(folder):
    assert open_run(RECIPE, folder / "a", [3, 4], False)[1] == [3, 4]
    assert open_run(RECIPE, folder / "a", None, True)[1] == [3, 4]
    assert open_run(RECIPE, folder / "a", [4, 5], True)[1] == [3, 4, 5]
    assert open_run(RECIPE, folder / "a", None, True)[1] == [3, 4, 5]


def test_a_kill_while_the_run_is_opened_blocks_nothing(folder):
    (folder / "a").mkdir()
    (folder / "a" / "run.json.partial").write_text('{"rec')
    assert open_run(RECIPE, folder / "a", None, False)[1] == [0]


def test_a_torn_run_file_is_named(folder):
    (folder / "a").mkdir()
    (folder / "a" / "run.json").write_text('{"rec')
    with pytest.raises(ValueError, match=r"run\.json is no JSON"):
        open_run(RECIPE, folder / "a", None, True)


def make_checkpoint(folder, step: int) -> None:
    """A folder that looks whole."""
    path = folder / f"checkpoint-{step:08d}"
    path.mkdir()
    (path / "progress.json").write_text(json.dumps({"step": step}))


def test_only_a_whole_checkpoint_counts(folder):
    make_checkpoint(folder, 10)
    (folder / "checkpoint-00000020").mkdir()
    (folder / "checkpoint-99999999.partial").mkdir()
    assert [path.name for path in checkpoints._whole(folder)] == ["checkpoint-00000010"]


def test_dropping_checkpoints_leaves_none(folder):
    make_checkpoint(folder, 10)
    (folder / "checkpoint-00000020.partial").mkdir()
    checkpoints.drop(folder)
    assert not list(folder.iterdir())
