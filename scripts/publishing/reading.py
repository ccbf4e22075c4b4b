"""A JSON file that others wrote -> its object with all that is needed in it, or one line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_object(path: Path, keys: Sequence[str], way_out: str) -> dict[str, Any]:
    """The object of a JSON file.

    Args:
      path: of the file.
      keys: what it must have.
      way_out: what to do where it has not.
    Raises:
      ValueError: it is no JSON object, or a key is missing.
      OSError: it cannot be read.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): {way_out}") from None
    need(found, keys, str(path), way_out)
    return dict(found)


def need(found: Any, keys: Sequence[str], called: str, way_out: str) -> None:
    """Raise a ValueError unless this is an object with these keys."""
    if not isinstance(found, dict):
        raise ValueError(f"{called} is no JSON object: {way_out}")
    missing = [key for key in keys if key not in found]
    if missing:
        raise ValueError(f"{called} has no {missing[0]!r}: {way_out}")


def is_local(place: str) -> bool:
    """Whether a recipe's model or mixer is a file or folder of this machine, and no hub id or type.

    >>> is_local("runs/001-swap-delta/"), is_local("my-org/vsc-1"), is_local("layer.py:Decay")
    (True, False, True)
    """
    named = ".py:" in place or place.startswith((".", "~")) or place.count("/") > 1
    return named or Path(place).is_absolute() or (bool(place) and Path(place).is_dir())


def read_recipe(run: Path) -> dict[str, Any]:
    """The recipe of a run's folder.

    Raises:
      ValueError: its run.json is not as train.py writes it.
    """
    path, way_out = run / "run.json", "give a run as train.py leaves it"
    recipe = read_object(path, ("recipe",), way_out)["recipe"]
    need(recipe, ("name", "data", "model"), f"the recipe of {path}", way_out)
    return dict(recipe)
