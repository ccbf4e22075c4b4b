"""Make `load_dataset("vsc", …)` find the builder; `load` does without datasets' private API.

`datasets` has no public way to add a builder under a new name, so one private class of it is
replaced by a subclass, in this file alone. That waits until `datasets` is imported: users of the
task alone should not pay for the library.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from vsc_dataset.checking import check_bool, check_int
from vsc_dataset.language import quote

NAME = "vsc"
LIBRARY = "datasets.load"


def register_when_imported() -> None:
    """Register now where `datasets` is imported already, else as soon as it is."""
    if LIBRARY in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _Waiting())


class _Waiting(MetaPathFinder):
    """Let the import of `datasets.load` happen as always, then register."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != LIBRARY:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                register()

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Make `datasets` answer for the name "vsc"; again is harmless."""
    from datasets import load
    from datasets.data_files import DataFilesDict
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    if NAME in _PACKAGED_DATASETS_MODULES:
        return
    _PACKAGED_DATASETS_MODULES[NAME] = ("vsc_dataset.builder", "")
    original = load.PackagedDatasetModuleFactory

    class Factory(original):  # type: ignore[misc, valid-type]
        """The library's factory, which for "vsc" neither looks for files nor uses the network."""

        def __init__(self, name: str, *args: Any, **settings: Any) -> None:
            self.name = name
            if name != NAME:
                super().__init__(name, *args, **settings)
                return
            from vsc_dataset.builder import refuse_files

            for key in ("data_files", "data_dir"):
                refuse_files(key, settings.get(key))

        def get_module(self) -> Any:
            if self.name != NAME:
                return super().get_module()
            from vsc_dataset.builder import source_hash

            settings = {"data_files": DataFilesDict(), "dataset_name": NAME}
            return load.DatasetModule("vsc_dataset.builder", source_hash(), settings)

    load.PackagedDatasetModuleFactory = Factory


def load(
    name: str = "default",
    split: str | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    **settings: Any,
) -> Any:
    """Load the dataset by the public builder API alone, as `load_dataset("vsc", …)` does.

    Args:
      name: name of a configuration.
      split: one split, or a slice such as "train[:100]" where rows are not streamed; None for all
        of them.
      streaming: make the rows while they are read.
      num_proc: processes that prepare the rows.
      settings: fields of TaskConfig, those of VscBuilderConfig (seed, trace, columns, scratchpad,
        only), and cache_dir.
    Returns:
      A Dataset or IterableDataset, or a dictionary of them.
    Raises:
      ValueError: no such configuration or field (the nearest is named), or an impossible value.

    >>> rows = load("swap-nops5", split="validation", streaming=True)
    >>> next(iter(rows))
    {'question': 'ZIYFQ:5>3 5>1 1>2 5>4 5>2', 'answer': 'IFQZY', 'length': 5, 'nops': 5}
    """
    from vsc_dataset.builder import VscBuilder, source_hash

    if split is not None and not isinstance(split, str):
        raise ValueError(f"split is {quote(split)}: it must be a text, or None for all splits")
    check_bool("streaming", streaming)
    if num_proc is not None:
        check_int("num_proc", num_proc, 1)
    if split is not None and settings.get("only"):
        raise ValueError(
            f"split is {quote(split)} and only is {quote(settings['only'])}: leave one of them out"
        )
    if split is not None and not streaming:  # preparing others would only take time
        splits = [part.partition("[")[0].strip() for part in split.split("+")]
        settings["only"] = [] if "all" in splits else splits
    builder = VscBuilder(config_name=name, dataset_name=NAME, hash=source_hash(), **settings)
    if streaming:
        if num_proc is not None:
            raise ValueError(f"num_proc is {num_proc}: rows that are streamed are not prepared")
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(split=split)
