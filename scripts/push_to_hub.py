"""A dataset, a run, the metric or the demo -> its repository on the hub; without --yes only told.

    python scripts/push_to_hub.py dataset data/vsc my-org/vsc
    python scripts/push_to_hub.py model runs/001-swap-delta my-org/vsc-swap-delta --yes
    python scripts/push_to_hub.py metric vsc_dataset/metrics/vsc_error my-org/vsc_error --yes
    python scripts/push_to_hub.py space hub_cards/space my-org/vsc --checkpoints my-org/vsc-1

The token is HF_TOKEN's or that of `hf auth login`. A push is one commit, then a tag that names
it. It can be interrupted and repeated at any time, and sends only what has changed.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`


def main() -> None:
    """Tell what would be pushed, or push."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("dataset", "model", "metric", "space"))
    parser.add_argument("path", type=Path, metavar="PATH", help="the folder that holds it")
    parser.add_argument("repo", metavar="REPO", help="owner/name")
    parser.add_argument("--yes", action="store_true", help="do it")
    parser.add_argument("--private", action="store_true", help="create a private repository")
    parser.add_argument(
        "--eval-results",
        action="store_true",
        help="add .eval_results, which the hub takes for the benchmarks on its list alone",
    )
    parser.add_argument(
        "--checkpoints", nargs="+", default=(), metavar="ID", help="models that a demo shall ask"
    )
    arguments = parser.parse_args()
    from scripts.publishing.bundles import assemble
    from scripts.publishing.hub import describe, make_plan, push

    with TemporaryDirectory() as scratch:
        bundle = assemble(
            arguments.kind,
            arguments.path,
            arguments.repo,
            Path(scratch),
            arguments.eval_results,
            arguments.checkpoints,
        )
        plan = make_plan(bundle, arguments.private)
        print(describe(bundle, plan))
        if arguments.yes:
            print(push(bundle, plan, arguments.private))
        else:
            print("Nothing was sent: add --yes to push.")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"push_to_hub: {error}")
    except KeyboardInterrupt:
        sys.exit("push_to_hub: interrupted: the same command pushes what is missing")
