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
    "--private": {"action": "store_true", "help": "create a private repository"},
    "--license": {
        "metavar": "ID",
        "help": "of a model, as the hub calls it; default: apache-2.0, or none with code of yours",
    },
    "--checkpoints": {
        "nargs": "+",
        "default": (),
        "metavar": "ID",
        "help": "models that a demo evaluates",
    },
}


def main() -> None:
    """Say what would be pushed, or push."""
    arguments = Parser(__doc__, FLAGS).parse_args()
    from scripts.publishing.bundles import assemble
    from scripts.publishing.hub import describe, push

    with TemporaryDirectory() as scratch:
        bundle = assemble(
            arguments.kind,
            arguments.path,
            arguments.repo,
            Path(scratch),
            arguments.checkpoints,
            arguments.license,
        )
        print(describe(bundle))
        if arguments.yes:
            print(push(bundle, arguments.private))
        else:
            print("Nothing was sent: add --yes to push.")


if __name__ == "__main__":
    run("push_to_hub", main, "the same command pushes what is missing")
