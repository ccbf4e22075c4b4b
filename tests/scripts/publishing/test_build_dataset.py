"""The command `build_dataset.py`: deterministic, resumable, spread over machines, verified."""

import json
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from scripts.publishing import parquet
from scripts.publishing.dataset import all_shards, part_of, write_manifest
from scripts.publishing.parquet import file_sha256
from vsc_dataset import CONFIGS, DATA_VERSION, sample

ROOT = Path(__file__).parents[3]


def build(*flags, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, str(ROOT / "scripts" / "build_dataset.py"), *map(str, flags)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of rows."""
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Two configurations, built."""
    folder = tmp_path_factory.mktemp("built") / "vsc"
    done = build("--output-dir", folder, "--config", "swap-nops2", "grid-len3", cwd=folder.parent)
    assert "2 configurations are whole" in done.stdout, done.stderr
    return folder


def test_machines_that_share_the_work_write_the_same_bytes(built, tmp_path):
    for part in ("1/2", "0/2"):
        flags = ("--config", "swap-nops2", "grid-len3", "--shard", part, "--num-proc", "2")
        assert build("--output-dir", tmp_path / "vsc", *flags, cwd=tmp_path).returncode == 0
    assert hashes(tmp_path / "vsc") == hashes(built)
    for name in ("manifest.json", "README.md"):
        assert (tmp_path / "vsc" / name).read_bytes() == (built / name).read_bytes()


def test_parts_of_the_work_are_disjoint_and_whole():
    shards = all_shards(["default", "level-1"])
    parts = [part_of(shards, f"{i}/3") for i in range(3)]
    assert sorted(chain.from_iterable(parts)) == sorted(shards)


def test_an_interrupted_build_goes_on_where_it_stopped(built, tmp_path):
    folder = tmp_path / "vsc"
    (folder / "swap-nops2").mkdir(parents=True)
    kept = folder / "swap-nops2" / "train-00001-of-00004.parquet"
    kept.write_bytes((built / "swap-nops2" / kept.name).read_bytes())
    before = kept.stat().st_mtime_ns
    torn = folder / "swap-nops2" / "train-00002-of-00004.parquet"
    torn.write_bytes((built / "swap-nops2" / torn.name).read_bytes()[:1000])
    assert build("--output-dir", folder, "--config", "swap-nops2", cwd=tmp_path).returncode == 0
    assert kept.stat().st_mtime_ns == before
    expected = {path: sha for path, sha in hashes(built).items() if path.startswith("swap")}
    assert hashes(folder) == expected
    assert not list(folder.rglob("*.partial"))


def test_manifest_tells_what_is_there(built):
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["version"] == DATA_VERSION
    assert set(manifest["configs"]) == {"swap-nops2", "grid-len3"}
    split = manifest["configs"]["swap-nops2"]["validation"]
    questions = sample("swap-nops2", "validation", range(10_000)).questions()
    assert (split["rows"], split["distinct"]) == (10_000, len(set(questions)))
    assert (split["length"], split["nops"]) == ({"5": 1.0}, {"2": 1.0})


def test_files_of_another_version_are_not_called_this_one(built, tmp_path, monkeypatch):
    folder = tmp_path / "vsc"
    shutil.copytree(built, folder)
    monkeypatch.setattr(parquet, "DATA_VERSION", "0.9.0")
    (shard,) = [one for one in all_shards(["grid-len3"]) if one.split == "nops1"]
    (folder / shard.path).unlink()
    parquet.write_shard(folder, CONFIGS["grid-len3"], shard)
    monkeypatch.undo()
    assert write_manifest(folder) == ["swap-nops2"]


def test_verify_finds_nothing_wrong_with_what_was_built(built):
    done = build("--verify", built, cwd=built.parent)
    assert "all as they should be" in done.stdout, done.stderr


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_verify_finds_one_flipped_byte_and_names_file_and_row_group(built, tmp_path, share):
    path = built / "swap-nops2" / "train-00003-of-00004.parquet"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[int(share * len(whole))] ^= 1
    try:
        path.write_bytes(flipped)
        done = build("--verify", built, "--config", "swap-nops2", cwd=tmp_path)
    finally:
        path.write_bytes(whole)
    assert done.returncode != 0
    group = int(share * 5)
    assert f"swap-nops2/{path.name}: row group {group}" in done.stderr


def test_verify_finds_a_flipped_byte_in_the_footer_and_a_missing_file(built, tmp_path):
    path = built / "grid-len3" / "nops20-00000-of-00001.parquet"
    whole = path.read_bytes()
    try:
        flipped = bytearray(whole)
        flipped[-100] ^= 1
        path.write_bytes(flipped)
        assert path.name in build("--verify", built, "--config", "grid-len3", cwd=tmp_path).stderr
        path.unlink()
        done = build("--verify", built, "--config", "grid-len3", cwd=tmp_path)
        assert f"{path.name}: the file is missing" in done.stderr
    finally:
        path.write_bytes(whole)


def test_the_folder_loads_without_our_package(built, tmp_path):
    code = (
        "import sys, datasets\n"
        "rows = datasets.load_dataset(sys.argv[1], 'swap-nops2', split='validation')\n"
        "assert 'vsc_dataset' not in sys.modules\n"
        "print(len(rows), rows['question'][:2], rows['answer'][:2])\n"
        "print(len(datasets.load_dataset(sys.argv[1], 'grid-len3', split='nops20')))"
    )
    site = Path(pytest.__file__).parents[1]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(built)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    examples = sample("swap-nops2", "validation", range(2))
    expected = [f"10000 {examples.questions()} {examples.answers()}", "1000"]
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.parametrize(
    "flags, words",
    [
        ((), "give one of --output-dir DIR and --verify DIR"),
        (("--output-dir", "d", "--config", "swap-nop2"), "did you mean 'swap-nops2'?"),
        (("--output-dir", "d", "--shard", "2/2"), "give i/n with i from 0 to n - 1"),
        (("--output-dir", "d", "--num-proc", "0"), "--num-proc 0 must be 1 or more"),
        (("--verify", "nowhere"), "manifest.json is missing"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path, flags, words):
    done = build(*flags, cwd=tmp_path)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode != 0


def test_a_file_that_would_be_loaded_too_is_no_secret(built, tmp_path):
    folder = tmp_path / "vsc"
    shutil.copytree(built, folder)
    one = folder / "swap-nops2" / "train-00000-of-00004.parquet"
    shutil.copy(one, one.with_name("train-00000-of-00003.parquet"))
    for flag in ("--verify", "--output-dir"):
        done = build(flag, folder, "--config", "swap-nops2", cwd=tmp_path)
        assert done.returncode
        (line,) = [line for line in done.stderr.splitlines() if "delete it" in line]
        assert "train-00000-of-00003.parquet is no file of version" in line


def test_a_configuration_that_is_named_twice_is_built_once(tmp_path):
    flags = ("--config", "grid-len3", "grid-len3", "--num-proc", "2")
    done = build("--output-dir", tmp_path / "vsc", *flags, cwd=tmp_path)
    assert "1 configurations are whole" in done.stdout, done.stderr
