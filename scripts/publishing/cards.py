"""A manifest -> the dataset's card, with the YAML by which `load_dataset` finds the files."""

from collections.abc import Mapping
from typing import Any

from scripts.reporting.tables import table
from vsc_dataset.configs import CONFIGS


def dataset_card(manifest: Mapping[str, Any]) -> str:
    """README.md of a dataset folder.

    Args:
      manifest: as `scripts.publishing.dataset` writes it. Each configuration has the dataset's
        version: `datasets` caches a folder by its patterns, and only another version tells it that
        the files behind them are others.
    """
    lines = [
        "---",
        "license: cc0-1.0",
        "pretty_name: Very Selective Copying",
        "annotations_creators:",
        "- machine-generated",
        "source_datasets:",
        "- original",
        "configs:",
    ]
    for name, splits in manifest["configs"].items():
        lines += [f"- config_name: {name}", f"  version: {manifest['version']}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {name}/{split}-*.parquet"]
    rows = [
        [name, split, f"{found['rows']:,}", f"{found['distinct']:,}", found["content_sha256"][:16]]
        for name, splits in manifest["configs"].items()
        for split, found in splits.items()
    ]
    header = ["configuration", "split", "rows", "distinct", "sha256 of content"]
    described = [f"- `{name}`: {CONFIGS[name].description}" for name in manifest["configs"]]
    return "\n".join(
        [
            *lines,
            "---",
            "",
            f"# Very Selective Copying, version {manifest['version']}",
            "",
            *described,
            "",
            table(header, rows, markdown=True),
            "",
            "Make all rows again and compare: `python scripts/build_dataset.py --verify DIR`.",
            "",
        ]
    )
