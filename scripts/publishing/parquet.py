"""The dataset as a folder of Parquet files with a manifest and a card: build it, or verify it.

Files lie in CONFIG/data/, where `datasets` takes the splits from their names when it is given the
folder of a configuration. From any other folder it would guess: "test_programs" is a "test" to it.
There it meets GUARD first, and loads nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from scripts.core.io import file_sha256, read_json, replace_file, write_lines
from scripts.core.trial_store import LOCK_FILE
from scripts.publishing.cards import dataset_card
from scripts.reporting.baselines import baseline_errors
from vsc_dataset.arrow import make_table
from vsc_dataset.configs import CONFIGS, DATA_VERSION, make_config
from vsc_dataset.sampling import sample

MANIFEST = "manifest.json"
CARD = "README.md"
GUARD = "data/test/_load_the_folder_above"
"""In each configuration's folder: `datasets` looks at names of folders before names of files."""
GUARD_TEXT = "Load this dataset by a configuration's name, or by the folder above data/.\n"

ROWS_PER_FILE = 250_000
ROWS_PER_GROUP = 50_000
BASELINE_SAMPLES = 1_000
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


def write_shard(folder: Path, shard: Shard) -> None:
    """Write one file, whole or not at all; one that this version has written is left alone."""
    if is_built(folder, shard):
        return
    path = folder / shard.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as tmp_path:
        write_table(tmp_path, make_rows(shard).replace_schema_metadata({"vsc": _origin(shard)}))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as every file of the dataset is written."""
    pq.write_table(table, path, row_group_size=ROWS_PER_GROUP, **WRITING)


def make_rows(shard: Shard) -> pa.Table:
    """Make the rows of a file."""
    rows = np.arange(shard.start, shard.stop, dtype=np.uint64)
    return make_table(sample(make_config(shard.config), shard.split, rows))


def is_built(folder: Path, shard: Shard) -> bool:
    """Return whether a file is there, whole, and of this version: every page is read."""
    path = folder / shard.path
    try:
        metadata: dict[bytes, bytes] = pq.read_schema(path).metadata or {}
        if metadata.get(b"vsc") != _origin(shard):
            return False
        table = pq.read_table(path, page_checksum_verification=True)
    except UNREADABLE:
        return False
    return len(table) == shard.stop - shard.start


def check_folder(folder: Path) -> None:
    """Raise a ValueError where a build would write over what no build has written."""
    try:
        ours = isinstance(json.loads((folder / MANIFEST).read_text("utf-8")).get("configs"), dict)
    except FileNotFoundError:
        ours = not (folder / CARD).exists()  # a build writes the card after its manifest
    except (ValueError, AttributeError, RecursionError):
        ours = True  # a damaged one is made again
    if not ours:
        raise ValueError(
            f"{folder} has a {CARD} or {MANIFEST} that no build has written: give an empty folder"
        )


def _origin(shard: Shard) -> bytes:
    """Return what a file says of its origin."""
    return json.dumps({"version": DATA_VERSION, **shard._asdict()}).encode()


def write_manifest(folder: Path) -> list[str]:
    """Describe all configurations that stand whole in the folder, in manifest.json and README.md.

    Files of another version of the data do not count. What killed builds left of whole
    configurations is removed.

    Returns:
      Their names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK_FILE):  # who listed the files earlier must not write later
        return _write_manifest(folder)


def _write_manifest(folder: Path) -> list[str]:
    names = [name for name in CONFIGS if all(is_built(folder, shard) for shard in shards_of(name))]
    manifest = {
        "version": DATA_VERSION,
        "configs": {name: describe_config(folder, name) for name in names},
        "floors": {
            "questions": BASELINE_SAMPLES,
            "by_config": {
                name: baseline_errors(make_config(name), "test", BASELINE_SAMPLES)
                for name in names
                if "test" in make_config(name).splits
            },
        },
    }
    manifest["sha256"] = _hash_manifest(manifest)
    write_lines(folder / MANIFEST, [json.dumps(manifest, indent=1)])
    if names:
        write_lines(folder / CARD, dataset_card(manifest).splitlines())
    for name in names:
        (folder / name / GUARD).parent.mkdir(exist_ok=True)
        (folder / name / GUARD).write_text(GUARD_TEXT)
        for path in (folder / name).rglob("*.partial"):
            path.unlink(missing_ok=True)
    return names


def describe_config(folder: Path, name: str) -> dict[str, Any]:
    """Return the manifest's entry of a configuration: what the files of each split hold."""
    shards = shards_of(name)
    return {
        split: _describe_split(folder, [shard for shard in shards if shard.split == split])
        for split in make_config(name).splits
    }


def _describe_split(folder: Path, shards: Sequence[Shard]) -> dict[str, Any]:
    """Return rows, distinct rows, shares, the hash of the content, and the files of a split."""
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
    manifest = dict(read_json(path, ("version", "configs", "floors", "sha256"), hint))
    if manifest["version"] != DATA_VERSION:
        raise ValueError(
            f"{folder} holds version {str(manifest['version'])[:40]} of the dataset, this "
            f"generator makes {DATA_VERSION}: use the generator of that version or build it again"
        )
    if manifest["sha256"] != _hash_manifest(manifest):
        raise ValueError(f"{path} does not have the hash that it says: {hint}")
    return manifest


def find_faults(folder: Path, shard: Shard) -> list[str]:
    """Make a file's rows again, and say what is wrong with the file in a line at most."""
    if not (folder / shard.path).is_file():
        return [f"{shard.path} is missing: --output-dir {folder} builds it"]
    try:
        table = pq.read_table(folder / shard.path, page_checksum_verification=True)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0]
        return [f"{shard.path} cannot be read ({reason}): --output-dir {folder} builds it again"]
    same = table.replace_schema_metadata().equals(make_rows(shard))
    again = f"delete it, and --output-dir {folder} builds it again"
    return [] if same else [f"{shard.path} has other rows: {again}"]


def find_folder_faults(folder: Path, names: Sequence[str]) -> list[str]:
    """Compare manifest and files, which can all be read, and find files that do not belong here."""
    manifest, again = read_manifest(folder), f"--output-dir {folder} writes it again"
    lines = [
        f"{name}, {split}: {MANIFEST} says something else of it: {again}"
        for name in names
        for split, entry in describe_config(folder, name).items()
        if manifest["configs"].get(name, {}).get(split) != entry
    ]
    lines += [
        f"{name}/{GUARD} is missing: {again}"
        for name in names
        if not (folder / name / GUARD).exists()
    ]
    path = folder / CARD
    text = path.read_text("utf-8") if path.exists() else ""
    if _yaml(text) != _yaml(dataset_card(manifest)):
        words = "its YAML is not that of this folder, by which `datasets` loads it"
        lines.append(f"{path}: {words}: {again}")
    return lines + find_unexpected_files(folder, names)


def _yaml(card: str) -> str:
    """Return the part of a card that is the same wherever it is published."""
    return card.split("---\n")[1] if card.count("---\n") > 1 else ""


def find_unexpected_files(folder: Path, names: Sequence[str]) -> list[str]:
    """Find Parquet files that a whole dataset does not have: of other versions."""
    wanted = {shard.path for shard in shards_of(*names)}
    paths = [path for name in names for path in sorted((folder / name).rglob("*.parquet"))]
    return [
        f"{path} is not a file of version {DATA_VERSION}: delete it"
        for path in [*sorted(folder.glob("*.parquet")), *paths]
        if path.relative_to(folder).as_posix() not in wanted
    ]
