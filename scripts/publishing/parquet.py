"""The dataset as a folder of Parquet files with a manifest and a card: build it, or verify it.

Files lie in CONFIG/data/, where `datasets` takes the splits from their names when it is given the
folder of a configuration. From any other folder it would guess: "test_programs" is a "test" to it.
There it meets GUARD first, and loads nothing.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.core.io import name_file, read_json, replace_file
from scripts.publishing.cards import RESULTS, dataset_card
from vsc_dataset.arrow import make_schema, make_table
from vsc_dataset.configs import CONFIGS, DATA_VERSION, make_config
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines
from vsc_dataset.sampling import sample

MANIFEST = "manifest.json"
CARD = "README.md"
GUARD = "data/test/_load_the_folder_above"
"""In each configuration's folder: `datasets` looks at names of folders before names of files."""
GUARD_TEXT = "Load this dataset by a configuration's name, or by the folder above data/.\n"

ROWS_PER_FILE = 250_000
ROWS_PER_GROUP = 50_000
BASELINE_QUESTIONS = 1_000
"""Test questions of each configuration on which the trivial baselines are measured."""

WRITING: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": ["length", "nops"],
    "write_page_checksum": True,
}

UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError)
"""What a damaged file raises."""


class Shard(NamedTuple):
    """One Parquet file of a split: rows `start` to `stop` - 1."""

    config: str
    split: str
    number: int
    of: int
    start: int
    stop: int

    @property
    def path(self) -> str:
        """Its place below the dataset's folder.

        >>> Shard("default", "train", 0, 4, 0, 250_000).path
        'default/data/train-00000-of-00004.parquet'
        """
        return f"{self.config}/data/{self.split}-{self.number:05d}-of-{self.of:05d}.parquet"


def shards_of(*names: str) -> list[Shard]:
    """List the files of configurations, in the order of their splits.

    Raises:
      ValueError: a name is unknown; the nearest one is named.
    """
    shards = []
    for name in names:
        config = make_config(name)
        for split in config.splits:
            rows = config.num_rows(split)
            of = -(-rows // ROWS_PER_FILE)
            for i in range(of):
                stop = min(rows, (i + 1) * ROWS_PER_FILE)
                shards.append(Shard(name, split, i, of, i * ROWS_PER_FILE, stop))
    return shards


def part_of(shards: list[Shard], part: str) -> list[Shard]:
    """Take every n-th file from the i-th on, for a text "i/n" with i from 0.

    Raises:
      ValueError: the text is of another form.

    >>> [shard.number for shard in part_of(shards_of("level-1")[:4], "1/2")]
    [1, 3]
    """
    number, _, of = part.partition("/")
    if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise ValueError(f"--shard {part!r}: give i/n with i from 0 to n - 1, such as 0/8")
    return shards[int(number) :: int(of)]


# Build


def build(folder: Path, shards: Sequence[Shard], num_proc: int) -> Iterator[tuple[Shard, None]]:
    """Write the files that are missing, and yield each one that stands."""
    folder.mkdir(parents=True, exist_ok=True)
    yield from _run(partial(write_shard, folder), shards, num_proc)


def _run(work: Any, shards: Sequence[Shard], num_proc: int) -> Iterator[tuple[Shard, Any]]:
    if num_proc == 1:
        yield from ((shard, work(shard)) for shard in shards)
        return
    with ProcessPoolExecutor(num_proc) as pool:
        yield from zip(shards, pool.map(work, shards), strict=True)


def write_shard(folder: Path, shard: Shard) -> None:
    """Write one file, whole or not at all; one that this version has written is left alone."""
    if stands(folder, shard):
        return
    path = folder / shard.path
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = make_schema(make_config(shard.config).layout).with_metadata({"vsc": _origin(shard)})
    with replace_file(path) as tmp_path, pq.ParquetWriter(tmp_path, schema, **WRITING) as writer:
        for table in tables(shard):
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)


def tables(shard: Shard) -> Iterator[pa.Table]:
    """Make the rows of a file, one row group after the other."""
    config = make_config(shard.config)
    for start in range(shard.start, shard.stop, ROWS_PER_GROUP):
        rows = np.arange(start, min(start + ROWS_PER_GROUP, shard.stop), dtype=np.uint64)
        yield make_table(sample(config, shard.split, rows))


def stands(folder: Path, shard: Shard) -> bool:
    """Return whether a file is there, whole, and of this version."""
    try:
        metadata: dict[bytes, bytes] = pq.read_schema(folder / shard.path).metadata or {}
    except UNREADABLE:
        return False
    return metadata.get(b"vsc") == _origin(shard)


def _origin(shard: Shard) -> bytes:
    """Return what a file says of its origin."""
    return json.dumps({"version": DATA_VERSION, **shard._asdict()}).encode()


def write_table(path: Path, table: pa.Table) -> None:
    """Write a ready table in the same way."""
    pq.write_table(table, path, row_group_size=ROWS_PER_GROUP, **WRITING)


# Describe


def write_manifest(folder: Path) -> list[str]:
    """Describe all configurations that stand whole in the folder, in manifest.json and README.md.

    Files of another version of the data do not count. What killed builds left of whole
    configurations is removed.

    Returns:
      Their names.
    """
    names = [name for name in CONFIGS if all(stands(folder, shard) for shard in shards_of(name))]
    manifest = {
        "version": DATA_VERSION,
        "configs": {name: _describe_config(folder, name) for name in names},
        "floors": {
            "questions": BASELINE_QUESTIONS,
            "by_config": {name: _baselines(name) for name in names if _has_test(name)},
        },
    }
    manifest["sha256"] = _hash_manifest(manifest)
    with replace_file(folder / MANIFEST) as tmp_path:
        tmp_path.write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    with replace_file(folder / CARD) as tmp_path:
        tmp_path.write_text(dataset_card(manifest), "utf-8")
    for name in names:
        (folder / name / GUARD).parent.mkdir(exist_ok=True)
        (folder / name / GUARD).write_text(GUARD_TEXT)
        for path in (folder / name).rglob("*.partial"):
            path.unlink(missing_ok=True)
    return names


def _describe_config(folder: Path, name: str) -> dict[str, Any]:
    shards = shards_of(name)
    return {
        split: describe_split(folder, [shard for shard in shards if shard.split == split])
        for split in dict.fromkeys(shard.split for shard in shards)
    }


def describe_split(folder: Path, shards: Sequence[Shard]) -> dict[str, Any]:
    """Return the manifest's entry of a split: rows, distinct rows, shares, content, files."""
    table = pa.concat_tables(pq.read_table(folder / shard.path) for shard in shards)
    content = hashlib.sha256()
    for batch in table.to_batches():
        lines = zip(batch["question"].to_pylist(), batch["answer"].to_pylist(), strict=True)
        content.update("".join(f"{q}\t{a}\n" for q, a in lines).encode())
    files = {
        shard.path: {
            "rows": shard.stop - shard.start,
            "bytes": (folder / shard.path).stat().st_size,
            "sha256": file_sha256(folder / shard.path),
        }
        for shard in shards
    }
    return {
        "rows": len(table),
        "distinct": len(table["question"].unique()),
        "length": _shares(table["length"]),
        "nops": _shares(table["nops"]),
        "content_sha256": content.hexdigest(),
        "files": files,
    }


def _shares(column: pa.ChunkedArray) -> dict[str, float]:
    """Return the share of each value."""
    values, counts = np.unique(column.to_numpy(), return_counts=True)
    return {str(v): round(c / len(column), 6) for v, c in zip(values, counts.tolist(), strict=True)}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has_test(name: str) -> bool:
    return "test" in make_config(name).splits


def _baselines(name: str) -> dict[str, dict[str, float]]:
    """Measure the trivial baselines on a configuration's first test questions."""
    questions = sample(make_config(name), "test", range(BASELINE_QUESTIONS)).questions()
    rates_by_baseline = trivial_baselines(questions, make_config(name).answer_width)
    keys = ("sample_error_pct", "mask_error_pct")
    return {name: {key: rates[key] for key in keys} for name, rates in rates_by_baseline.items()}


def _hash_manifest(manifest: Mapping[str, Any]) -> str:
    """Return the hash of all that a manifest says but its own hash."""
    content = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read manifest.json.

    Raises:
      ValueError: there is none, it is of another version, or it is not as it was written.
    """
    path, hint = folder / MANIFEST, f"build_dataset.py --output-dir {folder} writes it again"
    if not path.exists():
        raise ValueError(f"{path} is missing: build the dataset with --output-dir {folder} first")
    manifest = dict(read_json(path, ("version", "configs", "floors"), hint))
    if manifest["version"] != DATA_VERSION:
        raise ValueError(
            f"{folder} holds version {str(manifest['version'])[:40]} of the dataset, this "
            f"generator makes {DATA_VERSION}: use the generator of that version or build it again"
        )
    with name_file(path, hint):
        if manifest.get("sha256") != _hash_manifest(manifest):
            raise ValueError("what it says does not have the hash that it says")
    return manifest


# Verify


def verify(
    folder: Path, shards: Sequence[Shard], num_proc: int
) -> Iterator[tuple[Shard, list[str]]]:
    """Make every row again and yield, for each file, what is wrong with it or its split's entry."""
    manifest = read_manifest(folder)
    yield from _run(partial(_faults, folder, manifest), shards, num_proc)


def _faults(folder: Path, manifest: Mapping[str, Any], shard: Shard) -> list[str]:
    entry = manifest["configs"].get(shard.config, {}).get(shard.split)
    if entry is None:
        return [f"{shard.path}: {MANIFEST} does not say what it is"]
    lines = faults(folder, shard, entry["files"].get(shard.path, {}).get("sha256"))
    if not lines and shard.number == 0:
        shards = [one for one in shards_of(shard.config) if one.split == shard.split]
        try:
            same = describe_split(folder, shards) == entry
        except UNREADABLE:
            return lines  # another file of the split, which has faults of its own
        if not same:
            lines.append(f"{shard.config}, {shard.split}: {MANIFEST} says something else of it")
    return lines


def faults(folder: Path, shard: Shard, sha256: str | None) -> list[str]:
    """Make a file's rows again and compare: one line for each row group that differs.

    Args:
      folder: of the dataset.
      shard: what the file must hold.
      sha256: of the file's bytes, as the manifest says; None if it says nothing.
    """
    path = folder / shard.path
    if not path.exists():
        return [f"{shard.path}: the file is missing"]
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        groups = file.num_row_groups
    except UNREADABLE as error:
        return [f"{shard.path}: the footer cannot be read: {_line(error)}"]
    lines = []
    expected = list(tables(shard))
    if groups != len(expected):
        lines.append(f"{shard.path}: {groups} row groups where {len(expected)} belong")
    for number, table in enumerate(expected[:groups]):
        try:
            same = file.read_row_group(number).replace_schema_metadata().equals(table)
        except UNREADABLE as error:
            lines.append(f"{shard.path}: row group {number} cannot be read: {_line(error)}")
            continue
        if not same:
            lines.append(f"{shard.path}: row group {number} has other rows")
    if not lines and file_sha256(path) != sha256:
        lines.append(f"{shard.path}: all row groups are right but other bytes of the file are not")
    return lines


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]


def folder_faults(folder: Path, names: Sequence[str]) -> list[str]:
    """Find what is wrong with manifest, card and guards, and files that do not belong here."""
    manifest = read_manifest(folder)
    by_config = manifest["floors"]["by_config"]
    lines = [
        f"{name}: {MANIFEST} has other trivial baselines"
        for name in names
        if by_config.get(name) != (_baselines(name) if _has_test(name) else None)
    ]
    missing = [name for name in names if not (folder / name / GUARD).exists()]
    lines += [f"{name}/{GUARD} is missing" for name in missing]
    path = folder / CARD
    text = path.read_text("utf-8", errors="replace") if path.exists() else ""
    if text != _card_of(folder, manifest, text):
        lines.append(
            f"{path} is not the card of this folder: --output-dir {folder} writes it again"
        )
    return lines + strays(folder, names) + strays(folder, names, "*.partial")


def _card_of(folder: Path, manifest: Mapping[str, Any], text: str) -> str:
    """Write a folder's card, for the repository that its text names where it was published."""
    published = re.search(r"/datasets/([\w.-]+/[\w.-]+)/resolve/main/(wheel/[\w.-]+\.whl)", text)
    if published is None:
        return dataset_card(manifest)
    repo, wheel = published.groups()
    results = folder / "results"
    return dataset_card(manifest, repo, wheel, results if results.is_dir() else RESULTS)


def strays(folder: Path, names: Sequence[str], pattern: str = "*.parquet") -> list[str]:
    """Find files that a whole dataset does not have: of other versions, or of killed builds."""
    wanted = {shard.path for shard in shards_of(*names)}
    paths = [path for name in names for path in sorted((folder / name).rglob(pattern))]
    return [
        f"{path} is not a file of version {DATA_VERSION}: delete it"
        for path in [*sorted(folder.glob(pattern)), *paths]
        if path.relative_to(folder).as_posix() not in wanted
    ]
