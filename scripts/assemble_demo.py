"""Finished runs -> the demo Space with their checkpoints in it, a folder that runs by itself.

python scripts/assemble_demo.py --output-dir build/demo --checkpoints runs/001-swap-delta
python build/demo/app.py
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`


@dataclass
class Arguments:
    """The flags of this command."""

    output_dir: Path = field(metadata={"help": "is written anew"})
    checkpoints: list[Path] = field(
        default_factory=list, metadata={"help": "runs; default: the newest ones below runs/"}
    )


def main() -> None:
    """Assemble."""
    from transformers import HfArgumentParser

    from scripts.publishing.local_demo import newest_runs, write_demo

    parser = HfArgumentParser(Arguments, description=__doc__)  # type: ignore[arg-type]
    (arguments,) = parser.parse_args_into_dataclasses()
    runs = arguments.checkpoints or newest_runs(Path("runs"))
    write_demo(arguments.output_dir, runs)
    print(f"{arguments.output_dir}: asks {', '.join(run.name for run in runs)}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"assemble_demo: {error}")
    except KeyboardInterrupt:
        sys.exit("assemble_demo: interrupted")
