"""Fill the templates of hub_cards/templates: the card of each repository on the hub.

What a card says is a manifest's, a run's or the code's own.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

from huggingface_hub import constants
from jinja2 import Environment, StrictUndefined

from scripts.core.cli import hide_credentials
from scripts.core.io import HUB_CARDS, ROOT, RUN_FILE, explain_damage, read_json
from scripts.core.trial_store import read_records, read_trials
from scripts.core.trial_summary import SOLVED_PCT
from scripts.reporting.columns import COLUMNS, cells_of
from scripts.reporting.ranking import rank_key, split_budgets
from scripts.reporting.tables import nops_table, table, trials_table
from scripts.training.recipes import Recipe, read_recipes
from vsc_dataset.configs import CONFIGS, DATA_VERSION, TaskConfig
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.sampling import sample
from vsc_dataset.splits import split_of

TEMPLATES = HUB_CARDS / "templates"
RESULTS = HUB_CARDS / "results"
TAGS = ["very-selective-copying", "synthetic", "state-tracking", "selective-copying"]
SHOWN = "swap-nops5"
"""The configuration of the dataset card's examples, where it is there."""

UNPUBLISHED = "<org>/vsc"
WHEEL = "wheel/vsc_dataset-<version>-py3-none-any.whl"
MOST_BASELINES = 12
"""Rows of the dataset card's table; all lines are published next to it."""

BASELINE_COLUMNS = ("parameters", "samples", "solved", "programs", "errors", "test")

SIZES = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B"]
"""The hub's categories of a dataset's size."""

SOURCES = {
    "vsc_delta": ("fastWeights", "parallelDelta", "negativeEigenvalues", "deltaProduct"),
    "vsc_mamba": ("mamba",),
}
"""Where the layers of a model type come from: keys of references.bib."""

RUN_HINT = "give a run as train.py leaves it"


def render(template: str, repo: str, **facts: Any) -> str:
    """Fill a template; jinja2.UndefinedError names what it lacks."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.trim_blocks = True
    environment.filters["commas"] = "{:,}".format
    owner, _, name = repo.partition("/")
    common = {
        "repo": repo,
        "name": name,
        "dataset_repo": f"{owner}/vsc",
        "metric_repo": f"{owner}/vsc_error",
        "endpoint": endpoint(),
        "tag": f"v{version()}",
        "tags": TAGS,
        "references": references,
    }
    text = (TEMPLATES / f"{template}.jinja").read_text("utf-8")
    return environment.from_string(text).render({**common, **facts})


def references(*keys: str) -> str:
    """Choose entries of references.bib."""
    entries = re.split(r"\n(?=@)", (TEMPLATES / "references.bib").read_text("utf-8"))
    wanted = [entry.strip() for entry in entries if entry.partition("{")[2].startswith(keys)]
    return "\n".join(wanted)


def endpoint() -> str:
    """Return the hub's address, without a name and a password that stand in it."""
    return hide_credentials(constants.ENDPOINT)


def project() -> dict[str, Any]:
    """Read what pyproject.toml says of this package: the wheel is built from the same."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    return dict(tomllib.loads(text)["project"])


def version() -> str:
    """Return the package's version: what models, metric and Space are tagged with."""
    return str(project()["version"])


def example(name: TaskConfig | str, split: str = "validation") -> dict[str, str]:
    """Return the first question of a split, its answer, and the split by its hash."""
    (question,), (answer,) = (samples := sample(name, split, [0])).questions(), samples.answers()
    return {"question": question, "answer": answer, "split": split_of(question)}


def metric_card(repo: str) -> str:
    """Write the card of the metric."""
    from vsc_dataset.metrics.vsc_error.vsc_error import DESCRIPTION, INPUTS  # slow: `evaluate`

    row = example("swap-nops5")
    rates = error_rates([row["answer"]], [row["answer"]], [row["question"]])
    return render(
        "metric.md",
        repo,
        description=DESCRIPTION.strip(),
        inputs=INPUTS.strip().replace("\n", "\n    "),
        example=row,
        gives=pformat(rates, width=100, sort_dicts=False),
    )


def space_card(repo: str, checkpoints: Sequence[str], sdk_version: str) -> str:
    """Write the card of the demo: it names the models that it evaluates, and Gradio's version."""
    python = project()["requires-python"].lstrip(">=")
    versions = {"sdk_version": sdk_version, "python_version": python}
    return render("space.md", repo, models=checkpoints, **versions)


def dataset_card(
    manifest: Mapping[str, Any],
    repo: str = UNPUBLISHED,
    wheel: str = WHEEL,
    results: Path = RESULTS,
) -> str:
    """Write the card of a dataset, with the YAML by which `load_dataset` finds its files.

    Args:
      manifest: see `parquet.write_manifest`. Each configuration has the dataset's
        version: `datasets` caches a folder by its patterns, and only another version tells it that
        they stand for other files.
      repo, wheel: its id on the hub, and the wheel's path in it.
      results: the folder of the trials of the table of baselines.
    """
    configs = manifest["configs"]
    config = SHOWN if SHOWN in configs else next(iter(configs))
    split = "validation" if "validation" in configs[config] else next(iter(configs[config]))
    every = [split for splits in configs.values() for split in splits.values()]
    rows = sum(split["rows"] for split in every)
    trivial = manifest["floors"]
    names: Mapping[str, Any] = next(iter(trivial["by_config"].values()), {})
    return render(
        "dataset.md",
        repo,
        version=manifest["version"],
        wheel=wheel,
        configs=configs,
        descriptions={name: CONFIGS[name].description for name in configs},
        size=SIZES[max(0, min(len(str(rows)) - 3, len(SIZES) - 1))],
        rows=rows,
        bytes=sum(file["bytes"] for split in every for file in split["files"].values()),
        shown=config,
        split=split,
        shown_sha256=configs[config][split]["content_sha256"],
        example=example(config, split),
        trivial=trivial,
        trivial_names=[name for name in names if not name.startswith("last")],
        baselines=baselines_table(results),
        solved_pct=SOLVED_PCT,
        seed=0,
    )


def baselines_table(folder: Path) -> str:
    """Lay out the best settings of the recipes in recipes.toml, the best first; "" for none.

    Other recipes, such as a level of the ladder, are changes of these.
    """
    lines = [
        line
        for name, recipe in read_recipes().items()
        for line in split_budgets(
            name, recipe.data, recipe.num_samples, {}, read_trials(folder, name)
        )
        if line.trials
    ]
    best = sorted(lines, key=lambda line: rank_key(line.results))[:MOST_BASELINES]
    rows = [
        [line.row, line.data, *(cells_of(name, line, None)[0] for name in BASELINE_COLUMNS)]
        for line in best
    ]
    header = ["recipe", "trained on", *(COLUMNS[name][0][0] for name in BASELINE_COLUMNS)]
    return table(header, rows, markdown=True) if rows else ""


def model_card(
    folder: Path, repo: str, facts: Mapping[str, Any], license_id: str | None = None
) -> str:
    """Write the card of a trained model.

    Args:
      folder: of a finished run: run.json, results.json and trials.jsonl.
      repo: its id on the hub.
      facts: what its checkpoint says, see `read_checkpoint`.
      license_id: an id of the hub's list; None: Apache-2.0, where code and first weights are ours.
    Raises:
      ValueError: a file is not as train.py leaves it; one line that names it.
    """
    recipe = read_recipe(folder)
    # Weights to begin from: not a model type, and not a function in a file.
    is_checkpoint = ("/" in recipe.model or is_local(recipe.model)) and ".py:" not in recipe.model
    base = recipe.model if is_checkpoint else ""
    on_hub = bool(base) and not is_local(base)
    named = read_recipes().get(recipe.name)
    layers = () if recipe.mixer else SOURCES.get(recipe.model, ())
    return render(
        "model.md",
        repo,
        facts=facts,
        recipe=recipe,
        named=named if named and named.same_training(recipe) else None,  # no flag has changed it
        license_id=license_id or (None if facts["has_custom_code"] or on_hub else "apache-2.0"),
        base=Path(base).name if is_local(base) else base,
        base_on_hub=on_hub,
        data_version=DATA_VERSION,
        example=example(recipe.config),
        task=recipe.config,
        keys=("vsc", "verySelectiveCopying", *layers),
        **_result_facts(folder),
    )


def _result_facts(folder: Path) -> dict[str, Any]:
    """Read results.json and the shown trial."""
    path = folder / "results.json"
    results, records = read_json(path, hint=RUN_HINT), read_records(folder / "trials.jsonl")
    with explain_damage(path, f"{RUN_HINT}, with trials.jsonl"):
        (trial,) = (record for record in records if record.seed == results["shown_seed"])
        by_nops = {int(nops): rates for nops, rates in results["by_nops"].items()}
        versions = [", ".join(f"{name} {n}" for name, n in v.items()) for v in results["versions"]]
        return {
            "trial": trial,
            "samples": f"{results['samples']:,}",
            "trials_table": trials_table(results, markdown=True),
            "nops_table": nops_table(by_nops, markdown=True),
            "shown_split": results["split"],
            "versions": "; ".join(versions),
            "devices": "; ".join(results["devices"]),
        }


def read_recipe(folder: Path) -> Recipe:
    """Read the recipe of a run's folder."""
    run = read_json(folder / RUN_FILE, ("recipe",), RUN_HINT)
    with explain_damage(folder / RUN_FILE, RUN_HINT):
        return Recipe.from_dict(run["recipe"])


def is_local(location: str) -> bool:
    """Tell whether a recipe's model or mixer is a file or folder here, not a hub id or a type.

    >>> is_local("runs/001-swap-delta/"), is_local("my-org/vsc-1"), is_local("layer.py:Decay")
    (True, False, True)
    """
    named = ".py:" in location or location.startswith((".", "~")) or location.count("/") > 1
    return named or Path(location).is_absolute() or (bool(location) and Path(location).is_dir())
