"""Publish a dataset, a run, the metric or the demo on the hub.

    python scripts/push_to_hub.py dataset data/vsc my-org/vsc
    python scripts/push_to_hub.py model runs/001-swap-delta my-org/vsc-swap-delta --yes
    python scripts/push_to_hub.py metric vsc_dataset/metrics/vsc_error my-org/vsc_error --yes
    python scripts/push_to_hub.py space hub_cards/space my-org/vsc --checkpoints my-org/vsc-1

Without --yes it only says what would be sent. The token is HF_TOKEN's or that of `hf auth login`.
A push is one commit, then a tag that names it. It can be interrupted and repeated at any time, and
sends only what has changed; files that no push has made are kept.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, run

FLAGS: dict[str, dict[str, Any]] = {
    "kind": {"choices": ("dataset", "model", "metric", "space")},
    "path": {"type": Path, "metavar": "PATH", "help": "the folder that holds it"},
    "repo": {"metavar": "REPO", "help": "owner/name"},
    "--yes": {"action": "store_true", "help": "do it"},
    "--overwrite-card": {"action": "store_true", "help": "also a README.md that was edited there"},
    "--private": {"action": "store_true", "help": "create a private repository"},
    "--license": {
        "metavar": "ID",
        "help": "of a model; default: apache-2.0 or, with your code, none",
    },
    "--checkpoints": {"nargs": "+", "default": (), "metavar": "ID", "help": "models of a demo"},
}


def main() -> None:
    """Say what would be pushed, or push."""
    flags = Parser(__doc__, FLAGS).parse_args()
    from scripts.publishing.bundles import assemble
    from scripts.publishing.hub import describe, push

    with TemporaryDirectory() as scratch:
        target, options = (flags.kind, flags.path, flags.repo), (flags.checkpoints, flags.license)
        bundle = assemble(*target, Path(scratch), *options)
        print(describe(bundle))
        if flags.yes:
            print(push(bundle, flags.private, flags.overwrite_card))
        else:
            print("Nothing was sent: add --yes to push.")


if __name__ == "__main__":
    run("push_to_hub", main, "the same command pushes what is missing")
