"""Build deterministic Parquet files with a manifest and a card, or verify such a folder.

    python scripts/build_dataset.py --output-dir data/vsc
    python scripts/build_dataset.py --output-dir data/vsc --config swap-nops5 level-1 --num-proc 2
    python scripts/build_dataset.py --output-dir data/vsc --shard 3/16     # one of 16 machines
    python scripts/build_dataset.py --verify data/vsc --config swap-nops5

An interrupted build goes on where it stopped. The manifest is written when a call finds all files
of a configuration in place, so the last of several machines writes it.
"""

import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, run

FLAGS: dict[str, dict[str, Any]] = {
    "--output-dir": {"type": Path, "metavar": "DIR", "help": "build into this folder"},
    "--verify": {"type": Path, "metavar": "DIR", "help": "check this folder instead"},
    "--config": {
        "nargs": "+",
        "default": [],
        "metavar": "NAME",
        "help": "names of configurations; default: all of them",
    },
    "--shard": {"default": "0/1", "metavar": "I/N", "help": "only every N-th file, from the I-th"},
    "--num-proc": {"type": int, "default": 1, "metavar": "N", "help": "processes here"},
}


def main() -> None:
    """Build or verify."""
    arguments = Parser(__doc__, FLAGS).parse_args()
    from tqdm import tqdm

    from scripts.publishing import dataset
    from scripts.publishing.dataset_card import read_manifest
    from vsc_dataset import CONFIGS

    if (arguments.output_dir is None) == (arguments.verify is None):
        raise ValueError("give one of --output-dir DIR and --verify DIR")
    if arguments.num_proc < 1:
        raise ValueError(f"--num-proc {arguments.num_proc} must be 1 or more")
    names = list(dict.fromkeys(arguments.config)) or list(CONFIGS)
    if arguments.verify and not arguments.config:
        names = list(read_manifest(arguments.verify)["configs"])
    shards = dataset.part_of(dataset.all_shards(names), arguments.shard)
    rows = sum(shard.stop - shard.start for shard in shards)
    found = dataset.strays(arguments.verify or arguments.output_dir, names)
    with tqdm(total=rows, unit="row", unit_scale=True) as bar:
        if arguments.verify:
            for shard, faults in dataset.verify(arguments.verify, shards, arguments.num_proc):
                found += faults
                bar.update(shard.stop - shard.start)
        else:
            for shard in dataset.build(arguments.output_dir, shards, arguments.num_proc):
                bar.set_postfix_str(shard.path, refresh=False)
                bar.update(shard.stop - shard.start)
    if arguments.output_dir:
        whole = dataset.write_manifest(arguments.output_dir)
        print(f"{arguments.output_dir}: {len(whole)} configurations are whole: {', '.join(whole)}")
    if found:
        raise ValueError("\n".join(found))
    if arguments.verify:
        print(f"{arguments.verify}: {len(shards)} files, {rows:,} rows: all as they should be")


if __name__ == "__main__":
    run("build_dataset", main, "the same command goes on")
