"""The builder of `datasets` that `load_dataset("vsc")` runs."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.builder import Key

from vsc_dataset.arrow import PROMPT_SCHEMA, make_prompt_table, make_schema, make_table
from vsc_dataset.checking import check_bool, check_choice, check_int, nearest
from vsc_dataset.configs import CONFIGS, DATA_VERSION, TaskConfig, make_config
from vsc_dataset.encoding import Samples
from vsc_dataset.language import quote
from vsc_dataset.sampling import sample

ROWS_PER_TABLE = 50_000
BYTES_PER_TABLE = 2**22
"""A stream's first row comes when its table is made: long rows come in shorter ones."""

PROBED_SAMPLES = 256
PROBED_BYTES = 2**16
"""Made of each split before any is prepared: an error there says why, a worker's does not."""

ROWS_PER_SHARD = 50_000
"""A process of `num_proc`, or a worker of a stream, takes whole shards."""

COLUMNS = ("question-answer", "prompt-completion")

MAX_SHARDS = 10_000
"""They are a list in memory: of more rows, shards are longer."""

TASK_FIELDS = [field.name for field in fields(TaskConfig) if field.name != "description"]

_TaskFields: type = make_dataclass("_TaskFields", [(name, Any, None) for name in TASK_FIELDS])


@dataclass
class VscBuilderConfig(_TaskFields, datasets.BuilderConfig):  # type: ignore[misc]
    """A named configuration with the fields of TaskConfig that differ from it.

    A field that is None has the named configuration's value.

    Args:
      seed: of the training samples alone.
      trace: add the state after each operation.
      columns: "question-answer", or "prompt-completion", two texts as TRL reads them.
      scratchpad: the completion is the trace, then the answer.
      only: prepare these splits alone.
    """

    seed: int = 0
    trace: bool = False
    columns: str = COLUMNS[0]
    scratchpad: bool = False
    only: tuple[str, ...] = ()

    @property
    def task(self) -> TaskConfig:
        """Make the configuration of the task."""
        changed = {name: getattr(self, name) for name in TASK_FIELDS}
        return make_config(self.name, **{k: v for k, v in changed.items() if v is not None})


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
        name = self.DEFAULT_CONFIG_NAME if config_name is None else config_name
        ours = {key: settings.pop(key) for key in list(settings) if key not in LIBRARY_SETTINGS}
        settings |= _normalize(name, ours)
        super().__init__(*args, config_name=name, **settings)

    def _info(self) -> datasets.DatasetInfo:
        schema = PROMPT_SCHEMA
        if self.config.columns == COLUMNS[0]:
            schema = make_schema(self.config.task.layout, self.config.trace)
        return datasets.DatasetInfo(
            description=self.config.description or "",
            features=datasets.Features.from_arrow_schema(schema),
            license="cc0-1.0",
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        task = self.config.task
        generators = []
        probed = max(1, min(PROBED_SAMPLES, PROBED_BYTES // task.row_width))
        for split in self.config.only or task.splits:
            rows = task.num_rows(split)
            if task not in CONFIGS.values():  # those have their samples
                sample(task, split, range(min(rows, probed)), self.config.seed)
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
                indices = np.arange(start, min(start + size, high), dtype=np.uint64)
                samples = sample(task, split, indices, self.config.seed)
                yield Key(number, start - low), self._make_table(samples)

    def _make_table(self, samples: Samples) -> pa.Table:
        if self.config.columns == COLUMNS[0]:
            return make_table(samples, self.config.trace)
        return make_prompt_table(samples, self.config.scratchpad)


LIBRARY_SETTINGS = {
    "cache_dir", "dataset_name", "hash", "base_path", "info", "features", "token", "repo_id",
    "storage_options", "writer_batch_size", "config_id",
}  # fmt: skip
"""What `datasets` itself gives to a builder; every other keyword is a setting of ours."""


def refuse_files(key: str, value: Any) -> None:
    """Raise a ValueError for files that would not be read."""
    if value:
        raise ValueError(f"{key} is {quote(value)}: the rows of vsc are made, nothing is read")


def _normalize(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Bring what differs from the named configuration to one form: it names the cache."""
    names = ("seed", "trace", "columns", "scratchpad", "only")
    extra = {key: settings.pop(key) for key in names if settings.get(key) is not None}
    ours = [*names, *(field.name for field in fields(TaskConfig))]
    for key in settings.keys() - {*ours}:
        raise ValueError(f"keyword {quote(key)} is unknown: {nearest(key, ours)}")
    extra["seed"] = check_int("seed", extra.get("seed", 0), 0)
    for key in ("trace", "scratchpad"):
        extra[key] = check_bool(key, extra.get(key, False))
    columns = check_choice("columns", extra.pop("columns", COLUMNS[0]), COLUMNS)
    if columns != COLUMNS[0]:
        extra["columns"] = columns
    if extra["scratchpad"] and columns == COLUMNS[0]:
        raise ValueError('scratchpad is True: it needs columns="prompt-completion"')
    if extra["trace"] and columns != COLUMNS[0]:
        raise ValueError(
            f'trace is True: it needs columns="{COLUMNS[0]}", use scratchpad=True here'
        )
    if settings.get("description"):
        raise ValueError(
            f"description is {quote(settings['description'])}: the configuration's stands"
        )
    task = make_config(name, **{k: v for k, v in settings.items() if v is not None})
    if not task.splits:
        raise ValueError(f"configuration {name!r} has no rows left in any split: ask for some")
    task.padded_width(None, extra["scratchpad"])
    only = extra.pop("only", ())
    if not isinstance(only, list | tuple):
        raise ValueError(f"only is {quote(only)}: it must be a list of splits")
    for split in only:
        task.sample_spec(split)  # refuses one that does not exist
    extra["only"] = tuple(split for split in task.splits if split in only)
    named = CONFIGS[name]
    changed = {k: getattr(task, k) for k in TASK_FIELDS if getattr(task, k) != getattr(named, k)}
    return changed | {key: value for key, value in extra.items() if value}


def source_hash(package: Path = Path(__file__).parent) -> str:
    """Hash all that makes the rows (SHA-256): another generator has another cache."""
    digest = hashlib.sha256()
    for path in sorted([*package.glob("*"), *package.glob("generator/*")]):
        if path.suffix in (".py", ".toml"):
            digest.update(path.read_bytes())
    return digest.hexdigest()
