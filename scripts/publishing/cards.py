"""Facts and a template of hub_cards/templates -> the card of a repository on the hub.

No number is typed: what a card says is a manifest's, a run's or the code's own.
"""

import ast
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from huggingface_hub import CardData, SpaceCardData, constants
from jinja2 import Environment, StrictUndefined

from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.sampling import sample
from vsc_dataset.splits import split_of

HUB_CARDS = Path(__file__).parents[2] / "hub_cards"
TAGS = ["very-selective-copying", "synthetic", "state-tracking", "selective-copying"]
LANGUAGE = "zxx"
"""ISO 639: no linguistic content."""


def repositories(repo: str) -> dict[str, str]:
    """The ids of dataset and metric beside a repository of the same owner."""
    owner = repo.partition("/")[0]
    return {"dataset_repo": f"{owner}/vsc", "metric_repo": f"{owner}/vsc_error"}


def render(template: str, data: CardData | None, **facts: Any) -> str:
    """A filled template; jinja2.UndefinedError names what it lacks."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.trim_blocks = True
    text = (HUB_CARDS / "templates" / f"{template}.jinja").read_text("utf-8")
    header = {"card_data": data.to_yaml()} if data else {}
    return environment.from_string(text).render(**header, endpoint=endpoint(), **facts)


def references(*keys: str) -> str:
    """Entries of references.bib."""
    entries = re.split(r"\n(?=@)", (HUB_CARDS / "templates/references.bib").read_text("utf-8"))
    wanted = [entry.strip() for entry in entries if entry.partition("{")[2].startswith(keys)]
    return "\n".join(wanted)


def endpoint() -> str:
    """The hub's address, without a name and a password that stand in it."""
    parts = urlsplit(constants.ENDPOINT)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def project() -> dict[str, Any]:
    """What pyproject.toml says of this package: the wheel is built from the same."""
    text = (HUB_CARDS.parent / "pyproject.toml").read_text("utf-8")
    found: dict[str, Any] = tomllib.loads(text)["project"]
    return found


def version() -> str:
    """The version of this package: what models, metric and Space are tagged with."""
    return str(project()["version"])


def python_version() -> str:
    """The oldest Python that the package runs on."""
    return str(project()["requires-python"]).lstrip(">=")


def example(name: str, split: str = "validation") -> dict[str, str]:
    """The first question of a split, answered."""
    examples = sample(name, split, [0])
    question = examples.questions()[0]
    return {
        "question": question,
        "answer": examples.answers()[0],
        "split": split_of(question),
    }


def metric_card(metric: Path, repo: str) -> str:
    """README.md of the metric's Space.

    Args:
      metric: the module whose DESCRIPTION and INPUTS it shows.
      repo: its id on the hub.
    """
    texts = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(metric.read_text("utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    data = SpaceCardData(
        title="VSC error",
        sdk="static",
        emoji="📏",
        colorFrom="red",
        colorTo="gray",
        license="apache-2.0",
        tags=["evaluate", "metric", *TAGS],
        description=" ".join(texts["DESCRIPTION"].split()),
    )
    shown = example("swap-nops5")
    rates = error_rates([shown["answer"]], [shown["answer"]], [shown["question"]])
    return render(
        "metric.md",
        data,
        repo=repo,
        tag=f"v{version()}",
        description=texts["DESCRIPTION"].strip(),
        inputs=texts["INPUTS"].strip().replace("\n", "\n    "),
        example=shown,
        gives=pformat(rates, width=100, sort_dicts=False),
        references=references("verySelectiveCopying"),
        **repositories(repo),
    )


def space_card(
    repo: str, checkpoints: Sequence[str], recipes: Sequence[str], sdk_version: str
) -> str:
    """README.md of the demo.

    Args:
      repo: its id on the hub.
      checkpoints: ids of the models that it asks.
      recipes: whose results it shows.
      sdk_version: of Gradio.
    """
    beside = repositories(repo)
    data = SpaceCardData(
        title="Very Selective Copying",
        sdk="gradio",
        sdk_version=sdk_version,
        app_file="app.py",
        python_version=python_version(),
        emoji="🔀",
        colorFrom="blue",
        colorTo="gray",
        license="apache-2.0",
        models=list(checkpoints),
        datasets=[beside["dataset_repo"]],
        tags=TAGS,
    )
    shown = ", ".join(f"`{name}`" for name in recipes)
    source = references("verySelectiveCopying")
    return render("space.md", data, recipes=shown, references=source, **beside)
