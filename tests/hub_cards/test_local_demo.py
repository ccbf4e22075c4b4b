"""The demo's folder: all that the page needs is in it, and nothing of others is overwritten."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.publishing.local_demo import newest_runs, write_demo
from tests.hub_cards.bundle import untrained

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "001-mine"
    untrained(folder)
    (folder / "run.json").write_text(json.dumps({"recipe": {"data": "swap-nops5"}}))
    (folder / "seed-0").mkdir()
    return folder


@pytest.fixture(scope="module")
def demo(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    write_demo(folder, [run])
    return folder


def test_the_folder_holds_what_the_page_reads(demo):
    found = {path.relative_to(demo).as_posix() for path in demo.rglob("*") if path.is_file()}
    assert found >= {"app.py", "requirements.txt", "README.md", "demo/style.css"}
    assert {name for name in found if name.startswith("checkpoints/")} == {
        f"checkpoints/001-mine/{name}" for name in ("config.json", "model.safetensors", "run.json")
    }
    for room in ("results", "figures"):
        for path in filter(Path.is_file, (ROOT / "hub_cards" / room).iterdir()):
            assert (demo / room / path.name).read_bytes() == path.read_bytes()
    assert len([name for name in found if name.startswith("wheel/vsc_dataset-")]) == 1
    assert not any("__pycache__" in name for name in found)


def test_the_wheel_and_the_folder_are_enough_to_ask(demo, tmp_path):
    (wheel,) = demo.glob("wheel/*.whl")
    code = """
import sys, zipfile
zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])
sys.path[:0] = [sys.argv[3], sys.argv[2]]
from pathlib import Path
from demo import asking, loading
import vsc_dataset
assert vsc_dataset.__file__.startswith(sys.argv[2]), vsc_dataset.__file__
(checkpoint,), faults = loading.load_all(loading.sources(Path(sys.argv[3])))
print(checkpoint.name, checkpoint.trained, len(checkpoint.ask("NPFKT:5>4 3>1")) <= 5, faults)
"""
    command = [sys.executable, "-c", code, str(wheel), str(tmp_path), str(demo)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "001-mine (5, 5) True []\n", done.stderr


def test_a_second_time_replaces_the_first(demo, run):
    (demo / "checkpoints" / "old").mkdir()
    write_demo(demo, [run])
    assert [path.name for path in (demo / "checkpoints").iterdir()] == ["001-mine"]


@pytest.mark.parametrize("mine", [["mine.txt"], ["app.py"], ["app.py", "vsc.json"]])
def test_a_folder_of_other_things_is_left_alone(run, tmp_path, mine):
    for name in mine:
        (tmp_path / name).write_text('{"kind": "space"}')
    with pytest.raises(ValueError, match="holds something else"):
        write_demo(tmp_path, [run])
    assert sorted(path.name for path in tmp_path.iterdir()) == mine


def test_runs_that_cannot_be_shown_are_one_line(run, tmp_path):
    with pytest.raises(ValueError, match="holds no checkpoint: give a finished run"):
        write_demo(tmp_path / "demo", [tmp_path])
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model.safetensors").touch()
    with pytest.raises(ValueError, match="a model that a function made cannot be asked here"):
        write_demo(tmp_path / "demo", [tmp_path / "made"])
    with pytest.raises(ValueError, match="two have the same name"):
        write_demo(tmp_path / "demo", [run, run])
    with pytest.raises(ValueError, match="holds no finished run: make one with `make train`"):
        newest_runs(tmp_path)


def test_the_newest_runs_are_those_that_finished_last(tmp_path):
    names = ("mine", "998-a", "999-b", "1000-c", "1001-torn", "1002-made")
    for second, name in enumerate(names):
        (tmp_path / name).mkdir()
        if name != "1001-torn":
            (tmp_path / name / "model.safetensors").touch()
            os.utime(tmp_path / name / "model.safetensors", (second, second))
        if name != "1002-made":
            (tmp_path / name / "config.json").touch()
    assert [run.name for run in newest_runs(tmp_path)] == ["998-a", "999-b", "1000-c"]


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    command = [sys.executable, "scripts/assemble_demo.py", "--output-dir", str(tmp_path / "demo")]
    done = subprocess.run(
        [*command, "--checkpoints", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == f"assemble_demo: {tmp_path} holds no checkpoint: give a finished run\n"
