"""Write the dataset's Parquet files, and verify them."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vsc_dataset.arrow import make_schema, make_table
from vsc_dataset.configs import DATA_VERSION, TaskConfig
from vsc_dataset.sampling import sample

ROWS_PER_FILE = 250_000
ROWS_PER_GROUP = 50_000

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
        'default/train-00000-of-00004.parquet'
        """
        return f"{self.config}/{self.split}-{self.number:05d}-of-{self.of:05d}.parquet"


def shards_of(name: str, config: TaskConfig) -> list[Shard]:
    """All files of a configuration, in the order of its splits."""
    shards = []
    for split in config.splits:
        rows = config.num_rows(split)
        of = -(-rows // ROWS_PER_FILE)
        for i in range(of):
            stop = min(rows, (i + 1) * ROWS_PER_FILE)
            shards.append(Shard(name, split, i, of, i * ROWS_PER_FILE, stop))
    return shards


def tables(config: TaskConfig, shard: Shard) -> Iterator[pa.Table]:
    """The rows of a file, one row group after the other."""
    for start in range(shard.start, shard.stop, ROWS_PER_GROUP):
        rows = np.arange(start, min(start + ROWS_PER_GROUP, shard.stop), dtype=np.uint64)
        yield make_table(sample(config, shard.split, rows))


def write_shard(folder: Path, config: TaskConfig, shard: Shard) -> None:
    """Write one file, whole or not at all; one that this version has written is left alone."""
    if stands(folder, shard):
        return
    path = folder / shard.path
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.partial")  # others may write it, too
    schema = make_schema(config.layout).with_metadata({"vsc": _wanted(shard)})
    with pq.ParquetWriter(beside, schema, **WRITING) as writer:
        for table in tables(config, shard):
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
    os.replace(beside, path)


def stands(folder: Path, shard: Shard) -> bool:
    """Whether a file is there, whole, and of this version."""
    return _origin(folder / shard.path) == _wanted(shard)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a ready table in the same way."""
    pq.write_table(table, path, row_group_size=ROWS_PER_GROUP, **WRITING)


def _wanted(shard: Shard) -> bytes:
    """What a file says of its origin."""
    return json.dumps({"version": DATA_VERSION, **shard._asdict()}).encode()


def _origin(path: Path) -> bytes | None:
    """What an existing file says of its origin; None where there is no whole one."""
    try:
        metadata: dict[bytes, bytes] = pq.read_schema(path).metadata or {}
    except UNREADABLE:
        return None
    return metadata.get(b"vsc")


def faults(folder: Path, config: TaskConfig, shard: Shard, sha256: str | None) -> list[str]:
    """Make a file's rows again and compare: one line for each row group that differs.

    Args:
      folder: of the dataset.
      config, shard: what the file must hold.
      sha256: of the file's bytes, where a manifest tells it.
    """
    path = folder / shard.path
    if not path.exists():
        return [f"{shard.path}: the file is missing"]
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        groups = file.num_row_groups
    except UNREADABLE as error:
        return [f"{shard.path}: the footer cannot be read: {_line(error)}"]
    found = []
    expected = list(tables(config, shard))
    if groups != len(expected):
        found.append(f"{shard.path}: {groups} row groups where {len(expected)} belong")
    for number, table in enumerate(expected[:groups]):
        try:
            same = file.read_row_group(number).replace_schema_metadata().equals(table)
        except UNREADABLE as error:
            found.append(f"{shard.path}: row group {number} cannot be read: {_line(error)}")
            continue
        if not same:
            found.append(f"{shard.path}: row group {number} has other rows")
    if not found and sha256 and file_sha256(path) != sha256:
        found.append(f"{shard.path}: all row groups are right but other bytes of the file are not")
    return found


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_split(folder: Path, shards: list[Shard]) -> dict[str, Any]:
    """What the manifest says of a split: rows, distinct rows, shares, content, files."""
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
    """The share of each value."""
    values, counts = np.unique(column.to_numpy(), return_counts=True)
    return {str(v): round(c / len(column), 6) for v, c in zip(values, counts.tolist(), strict=True)}
