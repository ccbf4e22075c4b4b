"""Write files whole or not at all, and read JSON that may be damaged."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
HUB_CARDS = ROOT / "hub_cards"

RUN_FILE = "run.json"
"""What a run writes next to its checkpoint: the recipe, and in it the data's name."""

LOSSES = {"trace": "targets"}
"""What a loss was called in earlier versions and in kept results, and is called now."""

FAULTS = ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError
"""What the content of a damaged file raises."""


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Give a temporary file to write to; it replaces `path` if the block succeeds."""
    tmp_path = path.with_name(f"{path.name}.{os.getpid()}.partial")  # other processes may write it
    try:
        yield tmp_path
        os.replace(tmp_path, path)
    except OSError as error:  # a full disk: the system names no file
        raise error if error.filename else OSError(f"{path}: {error}") from None
    finally:
        tmp_path.unlink(missing_ok=True)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Replace a file by these lines."""
    with replace_file(path) as tmp_path:
        tmp_path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def read_lines(path: Path) -> list[str]:
    """Read the lines of a JSON Lines file without their ends; none where there is no file.

    A last line without its end is left out unless it is a JSON object: a kill cut it off.
    """
    if not path.exists():
        return []
    # A kill can cut a character in two.
    *lines, rest = path.read_bytes().decode("utf-8", errors="replace").split("\n")
    try:
        parse_object(rest)
    except ValueError:
        return lines
    return [*lines, rest]


def read_jsonl(path: Path, parse: Callable[[dict[str, Any]], T]) -> list[T]:
    """Read and parse the objects of a JSON Lines file; a ValueError names file and line."""
    parsed = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            parsed.append(parse(parse_object(line)))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}: repair or delete it") from None
    return parsed


def read_json(path: Path, keys: Sequence[str] = (), hint: str = "repair or delete it") -> Any:
    """Read the object of a JSON file with these keys; a ValueError names it and gives the hint."""
    try:
        value = parse_object(path.read_text("utf-8", errors="replace"))
        check_present(value, keys)
    except ValueError as error:
        raise ValueError(f"{path}: {error}: {hint}") from None
    return value


@contextmanager
def explain_damage(path: Path, hint: str) -> Iterator[None]:
    """Raise what the content of a damaged file breaks as one line that names the file.

    >>> with explain_damage(Path("run.json"), "give a run"):
    ...     {}["recipe"]
    Traceback (most recent call last):
    ValueError: run.json is not as it was written (KeyError: 'recipe'): give a run
    """
    try:
        yield
    except FAULTS as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(f"{path} is not as it was written ({words}): {hint}") from None


def parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object.

    >>> parse_object("[1]")
    Traceback (most recent call last):
    ValueError: '[1]' is not a JSON object
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{text[:40]!r} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"{text[:40]!r} is not a JSON object")
    return value


def check_present(line: dict[str, Any], keys: Sequence[str]) -> None:
    """Raise a ValueError where keys are missing."""
    missing = [key for key in keys if key not in line]
    if missing:
        raise ValueError(f"keys {missing} are missing")


def check_shape(value: Any, shape: Any, name: str) -> None:
    """Raise a ValueError that names the part which is not {key: shape}, [shape] or of a type.

    {str: shape} is any number of keys.

    >>> check_shape({"rows": [{"nops": 1}, {"nops": "2"}]}, {"rows": [{"nops": int}]}, "grid")
    Traceback (most recent call last):
    ValueError: grid.rows[1].nops is '2'
    """
    kind = type(shape) if isinstance(shape, dict | list) else shape
    if not has_type(value, kind) or not is_possible(value, name):
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    if isinstance(shape, dict):
        for key, inner in shape.items():
            for part in value if key is str else [key]:
                check_shape(value.get(part), inner, f"{name}.{part}")
    elif isinstance(shape, list):
        for number, item in enumerate(value):
            check_shape(item, shape[0], f"{name}[{number}]")


def has_type(value: Any, hint: Any) -> bool:
    """Return whether a value as JSON and TOML have it fits the annotation of a field.

    True is not a number, a float must be finite, and of Mapping[K, V] the members are not checked.

    >>> [has_type(value, float | None) for value in (1, 0.5, None, True, "1", float("nan"))]
    [True, True, True, False, False, False]
    """
    types = [
        get_origin(one) or one
        for one in (get_args(hint) if isinstance(hint, UnionType) else (hint,))
    ]
    if isinstance(value, bool):
        return bool in types
    finite = not isinstance(value, float) or math.isfinite(value)
    return finite and isinstance(value, (*types, *([int] if float in types else [])))


def is_possible(value: Any, name: str) -> bool:
    """Return whether a value can be what its name says: a percentage, else no negative number.

    >>> is_possible(250, "grid.sample_error_pct"), is_possible(-1, "seed"), is_possible(250, "seed")
    (False, False, True)
    """
    if not isinstance(value, int | float):
        return True
    return 0 <= value <= (100 if name.endswith("_pct") else math.inf)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
