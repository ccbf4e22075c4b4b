"""Configurations -> a folder of Parquet with manifest and card; such a folder -> its faults."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from scripts.core.io import replace_file
from scripts.publishing.dataset_card import MANIFEST, dataset_card, read_manifest
from scripts.publishing.parquet import Shard, describe_split, faults, shards_of, stands, write_shard
from vsc_dataset.configs import CONFIGS, DATA_VERSION, make_config
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines
from vsc_dataset.sampling import sample

FLOOR_QUESTIONS = 1_000
"""Test questions of each configuration on which the floors are measured."""
T = TypeVar("T")


def all_shards(names: Sequence[str]) -> list[Shard]:
    """The files of these configurations; ValueError names the nearest to an unknown one."""
    return [shard for name in names for shard in shards_of(name, make_config(name))]


def part_of(shards: list[Shard], part: str) -> list[Shard]:
    """Every n-th file from the i-th on, for a text "i/n" with i from 0.

    Raises:
      ValueError: the text is of another form.

    >>> [shard.number for shard in part_of(shards_of("level-1", CONFIGS["level-1"])[:4], "1/2")]
    [1, 3]
    """
    number, _, of = part.partition("/")
    if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise ValueError(f"--shard {part!r}: give i/n with i from 0 to n - 1, such as 0/8")
    return shards[int(number) :: int(of)]


def build(folder: Path, shards: Sequence[Shard], num_proc: int) -> Iterator[Shard]:
    """Write the files that are missing, and yield each one that stands."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard, _ in _run(partial(_write, folder), shards, num_proc):
        yield shard


def verify(
    folder: Path, shards: Sequence[Shard], num_proc: int
) -> Iterator[tuple[Shard, list[str]]]:
    """Make every row again and yield, for each file, what is wrong with it."""
    manifest = read_manifest(folder)
    yield from _run(partial(_faults, folder, manifest), shards, num_proc)


def strays(folder: Path, names: Sequence[str]) -> list[str]:
    """Files that the card's patterns would find beside those of this version, as faults."""
    known = {shard.path for shard in all_shards(names)}
    found = [path for name in names for path in sorted((folder / name).glob("*.parquet"))]
    return [
        f"{path} is no file of version {DATA_VERSION}, and would be loaded too: delete it"
        for path in found
        if path.relative_to(folder).as_posix() not in known
    ]


def _run(work: Any, shards: Sequence[Shard], num_proc: int) -> Iterator[tuple[Shard, Any]]:
    if num_proc == 1:
        yield from ((shard, work(shard)) for shard in shards)
        return
    with ProcessPoolExecutor(num_proc) as pool:
        yield from zip(shards, pool.map(work, shards), strict=True)


def _write(folder: Path, shard: Shard) -> None:
    write_shard(folder, make_config(shard.config), shard)


def _faults(folder: Path, manifest: dict[str, Any], shard: Shard) -> list[str]:
    splits = manifest["configs"].get(shard.config, {})
    file = splits.get(shard.split, {}).get("files", {}).get(shard.path, {})
    return faults(folder, make_config(shard.config), shard, file.get("sha256"))


def write_manifest(folder: Path) -> list[str]:
    """Describe all configurations that stand whole in the folder, in manifest.json and README.md.

    Files of another version of the data do not count.

    Returns:
      Their names.
    """
    configs: dict[str, Any] = {}
    for name, config in CONFIGS.items():
        shards = shards_of(name, config)
        if not all(stands(folder, shard) for shard in shards):
            continue
        configs[name] = {
            split: describe_split(folder, [shard for shard in shards if shard.split == split])
            for split in config.splits
        }
    levels = {name: _floors(name) for name in configs if "test" in configs[name]}
    manifest = {
        "version": DATA_VERSION,
        "configs": configs,
        "floors": {"questions": FLOOR_QUESTIONS, "by_config": levels},
    }
    with replace_file(folder / MANIFEST) as tmp_path:
        tmp_path.write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    with replace_file(folder / "README.md") as tmp_path:
        tmp_path.write_text(dataset_card(manifest), "utf-8")
    return list(configs)


def _floors(name: str) -> dict[str, dict[str, float]]:
    """What answers that need no model reach on a configuration's first test questions."""
    questions = sample(name, "test", range(FLOOR_QUESTIONS)).questions()
    found = trivial_baselines(questions, CONFIGS[name].answer_width)
    keys = ("sample_error_pct", "mask_error_pct")
    return {floor: {key: rates[key] for key in keys} for floor, rates in found.items()}
