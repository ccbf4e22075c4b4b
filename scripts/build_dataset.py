"""Build deterministic Parquet files with a manifest and a card, or verify such a folder.

    python scripts/build_dataset.py --output-dir data/vsc
    python scripts/build_dataset.py --output-dir data/vsc --config swap-nops5 level-1 --num-proc 2
    python scripts/build_dataset.py --output-dir data/vsc --shard 3/16     # one of 16 machines
    python scripts/build_dataset.py --verify data/vsc --config swap-nops5

An interrupted build goes on where it stopped. The manifest is written when a call finds all files
of a configuration in place, so the last of several machines writes it.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from signal import SIGKILL
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, int_from, run

FLAGS: dict[str, dict[str, Any]] = {
    "--output-dir": {"type": Path, "metavar": "DIR", "help": "build into this folder"},
    "--verify": {"type": Path, "metavar": "DIR", "help": "check this folder instead"},
    "--config": {"nargs": "+", "default": [], "metavar": "NAME", "help": "default: all of them"},
    "--shard": {"default": "0/1", "metavar": "I/N", "help": "only every N-th file, from the I-th"},
    "--num-proc": {
        "type": int_from(1, 256),
        "default": 1,
        "metavar": "N",
        "help": "processes here",
    },
}


def main() -> None:
    """Build or verify."""
    arguments = Parser(__doc__, FLAGS).parse_args()
    if (arguments.output_dir is None) == (arguments.verify is None):
        raise ValueError("give one of --output-dir DIR and --verify DIR")
    from tqdm import tqdm

    from scripts.publishing import parquet
    from scripts.training.signals import end_with
    from vsc_dataset import CONFIGS

    folder, all_faults = arguments.verify or arguments.output_dir, list[str]()
    names = list(dict.fromkeys(arguments.config)) or list(CONFIGS)
    if arguments.verify and not arguments.config:
        names = list(parquet.read_manifest(folder)["configs"])
    shards = parquet.part_of(parquet.shards_of(*names), arguments.shard)
    rows = sum(shard.stop - shard.start for shard in shards)
    if arguments.output_dir:
        parquet.check_folder(folder)
    work = partial(parquet.find_faults if arguments.verify else parquet.write_shard, folder)
    bar = tqdm(total=rows, unit="row", unit_scale=True, disable=None)
    pool = ProcessPoolExecutor(
        arguments.num_proc, initializer=end_with, initargs=(os.getpid(), SIGKILL)
    )
    with bar, pool:
        results = pool.map(work, shards) if arguments.num_proc > 1 else map(work, shards)
        for shard, faults in zip(shards, results, strict=True):
            all_faults += faults or []
            bar.set_postfix_str(shard.path, refresh=False)
            bar.update(shard.stop - shard.start)
    if arguments.verify:
        all_faults = all_faults or parquet.find_folder_faults(folder, names)
    else:
        whole = parquet.write_manifest(folder)
        print(f"{folder}: {len(whole)} configurations are whole: {', '.join(whole)}")
        all_faults += parquet.find_unexpected_files(folder, names)
    if all_faults:
        raise ValueError("\n".join(all_faults))
    if arguments.verify:
        print(f"{folder}: {len(shards)} files, {rows:,} rows: all as they should be")


if __name__ == "__main__":
    run("build_dataset", main, "the same command goes on")
