"""A manifest and finished trials -> the dataset's card, with the YAML that finds its files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData

from scripts.core.trial_store import SOLVED_PCT, TrialRecord, read_records, summarize
from scripts.publishing.cards import (
    HUB_CARDS,
    LANGUAGE,
    TAGS,
    example,
    references,
    render,
    repositories,
)
from scripts.publishing.reading import need, read_object
from scripts.reporting.ranking import rank_key
from scripts.training.recipes import Recipe, read_recipes
from vsc_dataset import splits
from vsc_dataset.configs import CONFIGS, DATA_VERSION, make_config
from vsc_dataset.generator import hashing

MANIFEST = "manifest.json"
RESULTS = HUB_CARDS / "results"
SHOWN = "swap-nops5"
"""The configuration of the card's examples, where it is there."""

MOST_BASELINES = 12
"""Rows of the card's table; all lines are published beside it."""


def read_results(folder: Path = RESULTS) -> list[list[TrialRecord]]:
    """The trials of hub_cards/results, those of one setting together."""
    recipes = read_recipes()
    found: dict[tuple[Any, ...], list[TrialRecord]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for record in read_records(path):
            planned = record.planned_samples or record.samples
            setting = (
                record.recipe,
                _trained_on(record, recipes),
                record.parameters,
                planned,
                record.split,
                record.questions,
                record.test_questions,
            )
            found.setdefault(setting, []).append(record)
    return list(found.values())


def _trained_on(record: TrialRecord, recipes: Mapping[str, Recipe]) -> str:
    """A trial's configuration; for a line that is older than the field, its recipe's."""
    if not record.data and record.recipe in recipes:
        return recipes[record.recipe].data
    return record.data


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json; ValueError where there is none, or a malformed one, or another version's."""
    path = folder / MANIFEST
    if not path.exists():
        raise ValueError(f"{path} is missing: build the dataset with --output-dir {folder} first")
    way_out = f"build_dataset.py --output-dir {folder} writes it again"
    manifest = read_object(path, ("version", "configs", "floors"), way_out)
    if manifest["version"] != DATA_VERSION:
        raise ValueError(
            f"{folder} holds version {manifest['version']} of the dataset, this generator makes "
            f"{DATA_VERSION}: use the generator of that version or build it again"
        )
    need(manifest["floors"], ("questions", "by_config"), f"floors in {path}", way_out)
    need(manifest["configs"], (), f"configs in {path}", way_out)
    for name, found in manifest["configs"].items():
        make_config(name)
        need(found, (), f"{name} in {path}", way_out)
        for split, of in found.items():
            called = f"{name}, {split} in {path}"
            need(of, ("rows", "distinct", "content_sha256", "files"), called, way_out)
            need(of["files"], (), f"files of {called}", way_out)
            for file, facts in of["files"].items():
                need(facts, ("bytes", "sha256"), f"{file} in {path}", way_out)
    return manifest


def dataset_card(
    manifest: Mapping[str, Any],
    repo: str = "<org>/vsc",
    wheel: str | None = None,
    results: Sequence[Sequence[TrialRecord]] | None = None,
) -> str:
    """README.md of a dataset folder.

    Args:
      manifest: as `scripts.publishing.dataset` writes it. Each configuration has the dataset's
        version: `datasets` caches a folder by its patterns, and only another version tells it that
        the files behind them are others.
      repo: its id on the hub.
      wheel: the wheel's path in it; None for a folder that has not been published.
      results: the trials of each setting; None takes those of hub_cards/results.
    """
    configs = {name: _described(name, splits) for name, splits in manifest["configs"].items()}
    every = [split for config in configs.values() for split in config["splits"].values()]
    total = {name: sum(split[name] for split in every) for name in ("rows", "bytes")}
    shown = next((name for name in (SHOWN, *configs) if name in configs), SHOWN)
    found = manifest["configs"].get(shown, {})
    split = next((name for name in ("validation", *found) if name in found), "validation")
    return render(
        "dataset.md",
        _dataset_data(manifest, total["rows"]),
        version=manifest["version"],
        repo=repo,
        metric_repo=repositories(repo)["metric_repo"],
        wheel=wheel or "wheel/vsc_dataset-<version>-py3-none-any.whl",
        shown=shown,
        split=split,
        shown_sha256=found[split]["content_sha256"] if found else "",
        example=example(shown, split),
        total=total,
        configs=configs,
        hash=_hash_facts(),
        floors=_floor_facts(manifest),
        baselines=_baselines(read_results() if results is None else results),
        solved_pct=SOLVED_PCT,
        seed=0,
        references=references("verySelectiveCopying"),
    )


def _dataset_data(manifest: Mapping[str, Any], rows: int) -> DatasetCardData:
    """The YAML by which `load_dataset` finds the files."""
    configs = [
        {
            "config_name": name,
            "version": manifest["version"],
            "data_files": [
                {"split": split, "path": f"{name}/{split}-*.parquet"} for split in found
            ],
            **({"default": True} if name == "default" else {}),
        }
        for name, found in manifest["configs"].items()
    ]
    sizes = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B"]
    return DatasetCardData(
        language=LANGUAGE,
        license="cc0-1.0",
        pretty_name="Very Selective Copying",
        size_categories=sizes[max(0, min(len(str(rows)) - 3, len(sizes) - 1))],
        task_categories=["question-answering", "fill-mask"],
        annotations_creators=["machine-generated"],
        source_datasets=["original"],
        tags=TAGS,
        configs=configs,
    )


def _described(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """What the card's table says of a configuration."""
    return {
        "description": CONFIGS[name].description,
        "folded": name.startswith("grid-"),
        "splits": {
            split: {
                "rows": of["rows"],
                "distinct": of["distinct"],
                "bytes": sum(file["bytes"] for file in of["files"].values()),
                "sha256": of["content_sha256"],
            }
            for split, of in found.items()
        },
    }


def _hash_facts() -> dict[str, Any]:
    """The constants of the split; a test runs the card's code against the package's."""
    names = ("m_ops", "m_let", "salt_p", "salt_q")
    return {
        "mask": hex(hashing.MASK_64),
        "factors": [hex(hashing._MULTIPLY_1), hex(hashing._MULTIPLY_2)],
        "shifts": [30, 27, 31],
        "shift": splits.BUCKET_SHIFT,
        **{name: hex(getattr(splits, name.upper())) for name in names},
        "min_ops": splits.HELD_OUT_MIN_OPS,
        "min_position": splits.HELD_OUT_MIN_POSITION,
        "unseen": 0,
        "validation": 0,
        "test": 1,
    }


def _floor_facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's floors without "last k"."""
    rows = manifest["floors"]["by_config"]
    names = [name for name in next(iter(rows.values()), {}) if not name.startswith("last")]
    return {"names": names, "rows": rows, "questions": manifest["floors"]["questions"]}


def _baselines(results: Sequence[Sequence[TrialRecord]]) -> list[dict[str, Any]]:
    """The card's table: the best settings of recipes.toml's own recipes, the best one first."""
    recipes = read_recipes()
    summaries = [(summarize(records), records) for records in results]
    summaries.sort(key=lambda pair: rank_key(pair[0]))
    rows = []
    for found, records in summaries:
        if found["recipe"] not in recipes:  # a rung of a ladder, a change of another recipe
            continue
        shown = {
            key: "{median:.2f} ({min:.2f} to {max:.2f})".format(
                **found[f"{prefix}sample_error_pct"]
            )
            for key, prefix in (("validation", ""), ("test", "test_"))
        }
        errors = found["sample_error_pct"]
        rows.append(
            {
                **{key: found[key] for key in ("recipe", "parameters", "samples")},
                **{key: errors[key] for key in ("n", "solved", "median")},
                "data": next((r.data for r in records if r.data), _trained_on(records[0], recipes)),
                **shown,
            }
        )
    return rows[:MOST_BASELINES]
