"""A configuration's name and settings -> a `datasets` builder, which `load_dataset("vsc")` runs."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.builder import Key

from vsc_dataset.checking import check_bool, check_int
from vsc_dataset.configs import CONFIGS, DATA_VERSION, TaskConfig, make_config
from vsc_dataset.generator.spec import Range
from vsc_dataset.parquet import SCHEMA, TRACE, make_table
from vsc_dataset.sampling import sample

ROWS_PER_TABLE = 50_000
BYTES_PER_TABLE = 2**22
"""A stream's first row comes when its table is made: long rows come in shorter ones."""

TRIED_ROWS = 256
BYTES_TRIED = 2**16
"""So many of each split before any is prepared: an error there says why, a worker's does not."""

ROWS_PER_SHARD = 50_000
"""A process of `num_proc`, or a worker of a stream, takes whole shards."""

MAX_SHARDS = 10_000
"""They are a list in memory: of more rows, shards are longer."""


@dataclass
class VscBuilderConfig(datasets.BuilderConfig):
    """A named configuration with the fields that differ from it; None: as the name says.

    Args:
      seed: of the training rows alone.
      trace: add the letters after each operation.
    """

    length: Range | None = None
    nops: Range | None = None
    eval_nops: Range | None = None
    operators: str | None = None
    weights: tuple[int, ...] | None = None
    num_items: int | None = None
    layout: str | None = None
    answer_width: int | None = None
    num_train: int | None = None
    num_validation: int | None = None
    num_test: int | None = None
    num_test_programs: int | None = None
    grid_nops: tuple[int, ...] | None = None
    complete: bool | None = None
    seed: int = 0
    trace: bool = False

    @property
    def task(self) -> TaskConfig:
        """The configuration of the task."""
        given = {name: getattr(self, name) for name in TASK_FIELDS}
        return make_config(self.name, **{k: v for k, v in given.items() if v is not None})


TASK_FIELDS = [field.name for field in fields(TaskConfig) if field.name != "description"]


class VscBuilder(datasets.ArrowBasedBuilder):
    """Very Selective Copying for `datasets`: prepared, streamed, sharded, cached.

    Raises:
      ValueError: no such configuration or field (the nearest is named), or an impossible value.
    """

    BUILDER_CONFIG_CLASS = VscBuilderConfig
    BUILDER_CONFIGS = [  # noqa: RUF012  the library's own convention
        VscBuilderConfig(name=name, version=DATA_VERSION, description=config.description)
        for name, config in CONFIGS.items()
    ]
    DEFAULT_CONFIG_NAME = "default"
    DEFAULT_WRITER_BATCH_SIZE = ROWS_PER_TABLE
    config: VscBuilderConfig

    def __init__(self, *args: Any, config_name: str | None = None, **settings: Any) -> None:
        for key in ("data_files", "data_dir"):  # `load_dataset` brings both, empty
            refuse_files(key, settings.pop(key, None))
        name = config_name or self.DEFAULT_CONFIG_NAME
        own = {key: settings.pop(key) for key in list(settings) if key not in PASSED}
        settings |= _normal(name, own)
        super().__init__(*args, config_name=name, **settings)

    def _info(self) -> datasets.DatasetInfo:
        schema = SCHEMA.append(TRACE) if self.config.trace else SCHEMA
        return datasets.DatasetInfo(
            description=self.config.description or "",
            features=datasets.Features.from_arrow_schema(schema),
            license="cc0-1.0",
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        task = self.config.task
        generators = []
        tried = max(1, min(TRIED_ROWS, BYTES_TRIED // task.row_width))
        for split in task.splits:
            rows = task.num_rows(split)
            sample(task, split, range(min(rows, tried)), self.config.seed)
            size = max(ROWS_PER_SHARD, -(-rows // MAX_SHARDS))
            shards = [(split, lo, min(lo + size, rows)) for lo in range(0, rows, size)]
            generators.append(datasets.SplitGenerator(name=split, gen_kwargs={"shards": shards}))
        return generators

    def _generate_tables(
        self, shards: list[tuple[str, int, int]]
    ) -> Iterator[tuple[Key, pa.Table]]:
        task = self.config.task
        size = max(1, min(ROWS_PER_TABLE, BYTES_PER_TABLE // task.row_width))
        for number, (split, low, high) in enumerate(shards):
            for start in range(low, high, size):
                rows = np.arange(start, min(start + size, high), dtype=np.uint64)
                examples = sample(task, split, rows, self.config.seed)
                yield Key(number, start - low), make_table(examples, self.config.trace)


PASSED = {
    "cache_dir",
    "dataset_name",
    "hash",
    "base_path",
    "info",
    "features",
    "token",
    "repo_id",
    "storage_options",
    "writer_batch_size",
    "config_id",
}
"""What `datasets` itself hands to a builder; every other keyword is a setting of ours."""


def refuse_files(key: str, value: Any) -> None:
    """Raise a ValueError for files that would not be read."""
    if value:
        raise ValueError(f"{key} is {value!r}: the rows of vsc are made, nothing is read")


def _normal(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that differ from the named configuration, in one form: they name the cache."""
    own = {key: settings.pop(key) for key in ("seed", "trace") if settings.get(key) is not None}
    if "seed" in own:
        own["seed"] = check_int("seed", own["seed"], 0)
    if "trace" in own:
        own["trace"] = check_bool("trace", own["trace"])
    if settings.get("description"):
        raise ValueError(f"description is {settings['description']!r}: the configuration's stands")
    task = make_config(name, **{k: v for k, v in settings.items() if v is not None})
    if not task.splits:
        raise ValueError(f"configuration {name!r} has no rows left in any split: ask for some")
    changed = {
        k: getattr(task, k) for k in TASK_FIELDS if getattr(task, k) != getattr(CONFIGS[name], k)
    }
    return changed | {key: value for key, value in own.items() if value}


def source_hash() -> str:
    """SHA-256 of all that makes the rows: another generator has another cache."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*")):
        if path.suffix in (".py", ".toml"):
            digest.update(path.read_bytes())
    return digest.hexdigest()
