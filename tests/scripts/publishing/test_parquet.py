"""The command `build_dataset.py`: deterministic, resumable, spread over machines, verified."""

import hashlib
import json
import os
import resource
import shutil
from pathlib import Path

import datasets
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock, Timeout

from scripts.core.io import file_sha256
from scripts.publishing import parquet
from scripts.publishing.parquet import shards_of
from tests.commands import fork, run_command, wait_for
from tests.scripts.publishing.made import SMALL, make_dataset, small_configs
from tests.scripts.training.commands import wait_for_end
from vsc_dataset import DATA_VERSION, sample


@pytest.fixture(scope="module", autouse=True)
def _small():
    """Small configurations, in files of 250 rows and row groups of 50."""
    with pytest.MonkeyPatch.context() as patch, small_configs():
        patch.setattr(parquet, "ROWS_PER_FILE", 250)
        patch.setattr(parquet, "ROWS_PER_GROUP", 50)
        yield


@pytest.fixture(scope="module")
def built(_small, tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("built") / "vsc")


@pytest.fixture(name="copy")
def fixture_copy(built, tmp_path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "vsc"))


def command(*flags: object) -> str:
    """Run the command in this process; give what it says, or its error."""
    done = run_command("build_dataset", *flags)
    return done.stderr if done.exit_code else done.stdout


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if
            p.is_file()}  # fmt: skip


def test_machines_that_share_the_work_write_the_same_bytes(built, tmp_path):
    for part in ("1/2", "0/2"):
        said = command("--output-dir", tmp_path / "vsc", "--shard", part, "--num-proc", "2")
    assert "2 configurations are whole: swap-nops5, grid-len3" in said
    assert hashes(tmp_path / "vsc") == hashes(built)


def test_an_interrupted_build_goes_on_where_it_stopped(built, copy):
    folder = copy / "swap-nops5" / "data"
    kept, torn = (folder / f"train-0000{i}-of-00003.parquet" for i in (1, 2))
    torn.write_bytes(torn.read_bytes()[:1000])
    (folder / "test-00000-of-00004.parquet").unlink()
    (folder / "train-00000-of-00003.parquet.99.partial").write_bytes(b"killed")
    before = kept.stat().st_mtime_ns
    assert "2 configurations are whole" in command("--output-dir", copy, "--config", "swap-nops5")
    assert kept.stat().st_mtime_ns == before
    assert hashes(copy) == hashes(built)


def never_written(folder: Path, shard: object) -> None:
    (folder / f"{os.getpid()}.begun").touch()
    wait_for(lambda: False)


def test_the_processes_of_a_killed_build_end_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "write_shard", never_written)
    with fork(command, "--output-dir", tmp_path, "--num-proc", "2"):
        wait_for(lambda: len([*tmp_path.glob("*.begun")]) == 2)
        workers = [psutil.Process(int(path.stem)) for path in tmp_path.glob("*.begun")]
    wait_for_end(workers)


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path):
    first = shards_of("grid-len3")[0]
    (tmp_path / first.path).parent.mkdir(parents=True)
    (tmp_path / first.path).write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
        said = command("--output-dir", tmp_path, "--config", "grid-len3")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"build_dataset: {tmp_path / first.path}: [Errno" in said
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / first.path]
    assert (tmp_path / first.path).read_bytes() == b"old"


def test_manifest_tells_what_is_there(built):
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["version"] == DATA_VERSION
    assert list(manifest["configs"]) == list(SMALL)
    split = manifest["configs"]["swap-nops5"]["test"]
    rows = sample(SMALL["swap-nops5"], "test", range(1_000))
    assert (split["rows"], split["distinct"]) == (1_000, len(set(rows.questions())))
    assert (split["length"], split["nops"]) == ({"5": 1.0}, {"5": 1.0})
    lines = "".join(f"{q}\t{a}\n" for q, a in zip(rows.questions(), rows.answers(), strict=True))
    assert split["content_sha256"] == hashlib.sha256(lines.encode()).hexdigest()


def test_who_lists_the_files_earlier_does_not_write_the_manifest_later(copy, monkeypatch):
    is_built = parquet.is_built

    def find_locked(folder, shard):
        with pytest.raises(Timeout):
            FileLock(folder / ".lock").acquire(timeout=0)
        return is_built(folder, shard)

    monkeypatch.setattr(parquet, "is_built", find_locked)
    assert parquet.write_manifest(copy) == list(SMALL)


def test_files_of_another_version_are_not_called_this_one(copy, monkeypatch):
    shard = shards_of("grid-len3")[0]
    (copy / shard.path).unlink()
    monkeypatch.setattr(parquet, "DATA_VERSION", "0.9.0")
    parquet.write_shard(copy, shard)
    monkeypatch.setattr(parquet, "DATA_VERSION", DATA_VERSION)
    assert parquet.write_manifest(copy) == ["swap-nops5"]


# Loading, in every way


SPLITS = {"train": 600, "validation": 200, "test": 1_000, "test_programs": 100}
NOPS = {"nops1": 20, "nops20": 20, "nops1024": 20}


def load(path: str, **more: str) -> dict[str, int] | None:
    """Rows by split, or None for an error, mapped and streamed alike."""
    try:
        mapped = datasets.load_dataset(path, **more)
        found = {split: len(rows) for split, rows in mapped.items()}
    except (ValueError, OSError, datasets.exceptions.DatasetGenerationError):
        found = None
    try:
        streamed = datasets.load_dataset(path, streaming=True, **more)
        counts = {split: sum(1 for _ in rows) for split, rows in streamed.items()}
    except (ValueError, OSError):
        counts = None
    assert counts == found
    return found


@pytest.mark.parametrize("name, splits", [("swap-nops5", SPLITS), ("grid-len3", NOPS)])
def test_any_way_to_load_gives_the_splits_that_are_meant_or_an_error(
    copy, name, splits, monkeypatch
):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", copy.parent / "cache")
    assert load(str(copy), name=name) == splits
    alone = shutil.copytree(copy / name, copy.parent / "alone")
    for way in ({"data_dir": name}, {"name": name, "data_dir": name}):
        assert load(str(copy), **way) == splits
    for folder in (copy / name, alone):
        assert load(str(folder)) == load("parquet", data_dir=str(folder)) == splits
    for folder in (copy / name / "data", alone / "data"):
        assert load(str(folder)) is load("parquet", data_dir=str(folder)) is None
    assert load(str(copy), data_dir=f"{name}/data") is load("parquet", data_dir=str(copy)) is None
    (copy / "README.md").unlink()
    assert load(str(copy)) is None
    assert load(str(copy), data_dir=name) == splits


# Verifying


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def sign(manifest: dict) -> str:
    """The text of a manifest with the hash that belongs to it."""
    said = {key: value for key, value in manifest.items() if key != "sha256"}
    own = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return json.dumps({**said, "sha256": own}, indent=1) + "\n"


@pytest.mark.parametrize("group", [0, 4])
def test_verify_finds_one_flipped_byte_and_names_the_file(copy, group):
    path = copy / "swap-nops5" / "data" / "test-00003-of-00004.parquet"
    column = pq.ParquetFile(path).metadata.row_group(group).column(0)
    flip(path, column.data_page_offset + column.total_compressed_size - 20)
    said = command("--verify", copy, "--config", "swap-nops5", "--num-proc", "2")
    assert said.startswith(f"build_dataset: swap-nops5/data/{path.name} cannot be read (")
    assert "CRC" in said, "pages have checksums"


@pytest.mark.parametrize("damage", ["flipped", "shortened"])
def test_a_damaged_file_is_built_again(built, copy, damage):
    path = copy / "swap-nops5" / "data" / "test-00003-of-00004.parquet"
    if damage == "flipped":
        column = pq.ParquetFile(path).metadata.row_group(0).column(0)
        flip(path, column.data_page_offset + column.total_compressed_size - 20)
    else:
        parquet.write_table(path, pq.read_table(path)[:-1])
    assert "2 configurations are whole" in command("--output-dir", copy)
    assert hashes(copy) == hashes(built)


@pytest.mark.parametrize("name, text", [("README.md", "mine"), ("manifest.json", '{"mine": 1}')])
def test_what_no_build_has_written_is_left_alone(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    said = command("--output-dir", tmp_path, "--config", "grid-len3")
    assert "that no build has written: give an empty folder" in said
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, text)]


def test_verify_compares_rows_not_counts(copy):
    """One answer of a split is another one, and all counts and hashes agree."""
    path = copy / "swap-nops5" / "data" / "validation-00000-of-00001.parquet"
    table = pq.read_table(path)
    answers = table["answer"].to_pylist()
    answers[7] = answers[7][::-1]
    parquet.write_table(path, table.set_column(1, "answer", pa.array(answers)))
    parquet.write_manifest(copy)
    said = command("--verify", copy)
    assert said == (
        f"build_dataset: swap-nops5/data/{path.name} has other rows: delete it, and --output-dir "
        f"{copy} builds it again\n"
    )


@pytest.mark.parametrize(
    "key, value", [("rows", 201), ("distinct", 7), ("nops", {"5": 0.5}), ("content_sha256", "0")]
)
def test_verify_makes_the_manifest_again(copy, key, value):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["configs"]["swap-nops5"]["validation"][key] = value
    path.write_text(json.dumps(manifest))
    assert f"{path} does not have the hash that it says" in command("--verify", copy)
    path.write_text(sign(manifest))
    said = command("--verify", copy, "--config", "swap-nops5")
    assert said == (
        "build_dataset: swap-nops5, validation: manifest.json says something else of it: "
        f"--output-dir {copy} writes it again\n"
    )


def test_verify_finds_what_is_missing_and_what_does_not_belong(copy):
    other = shutil.copy(copy / "grid-len3/data/nops1-00000-of-00001.parquet", copy / "grid-len3")
    for flag in ("--verify", "--output-dir"):
        assert f"{other} is not a file of version {DATA_VERSION}: delete it" in command(flag, copy)
    Path(other).unlink()
    card, guard = copy / "README.md", copy / "grid-len3" / parquet.GUARD
    card.write_text(card.read_text().replace("/data/test-*", "/data/train-*"))
    guard.unlink()
    said = command("--verify", copy)
    again = f"--output-dir {copy} writes it again\n"
    assert f"grid-len3/{parquet.GUARD} is missing: {again}{card}: its YAML is not that of" in said
    assert said.endswith(f"by which `datasets` loads it: {again}")
    (copy / "swap-nops5/data/train-00000-of-00003.parquet").unlink()
    said = command("--verify", copy)
    assert f"train-00000-of-00003.parquet is missing: --output-dir {copy} builds it" in said
    assert "2 configurations are whole" in command("--output-dir", copy)
    assert "all as they should be" in command("--verify", copy)


def test_a_damaged_manifest_is_one_line_that_names_it(copy):
    path = copy / "manifest.json"
    good = path.read_text()
    texts = ("", "null", "[]", '"x"', '{"version": null}', "1" * 5000, "[" * 10_000)
    for text in (*texts, good[:-9], good.replace("test", "tess")):
        path.write_text(text)
        said = command("--verify", copy)
        assert said.startswith(f"build_dataset: {path}")
        assert said.count("\n") == 1
