"""Commits -> the files of a revision: what the stand-in for the hub holds."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

LARGE = (".parquet", ".safetensors", ".png", ".whl")
"""Endings of files that are sent as large objects, by their hash."""


class User(NamedTuple):
    """Whom a token belongs to."""

    name: str
    orgs: tuple[str, ...] = ()
    role: str = "write"

    def inside(self, namespace: str) -> bool:
        """Whether a namespace is the user's own or one of an organization's."""
        return namespace in (self.name, *self.orgs)


class File(NamedTuple):
    """A file in a commit."""

    oid: str
    data: bytes
    large: bool


@dataclass
class Repo:
    """Commits, oldest first, as (sha, {path: file}); tags by name."""

    name: str
    private: bool
    commits: list[tuple[str, dict[str, File]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, tree: dict[str, File]) -> str:
        """Add a commit and return its hash."""
        text = json.dumps(
            [self.commits[-1:] and self.commits[-1][0], {p: tree[p].oid for p in tree}]
        )
        self.commits.append((hashlib.sha1(text.encode()).hexdigest(), tree))
        return self.commits[-1][0]

    def at(self, revision: str) -> tuple[str, dict[str, File]]:
        """Hash and files of a revision."""
        sha = self.commits[-1][0] if revision == "main" else self.tags.get(revision, revision)
        if sha not in dict(self.commits):
            refuse(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha, dict(self.commits)[sha]


class Refused(Exception):  # noqa: N818
    """An answer that is not a success: status, code and message."""


def refuse(status: int, message: str, code: str = "") -> NoReturn:
    raise Refused(status, code, message)


def small(data: bytes) -> File:
    return File(hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), data, False)


def entries(tree: Mapping[str, File], prefix: str, deep: bool) -> list[dict[str, Any]]:
    """The files below a prefix; where it is not deep, its own files and folders."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(path for path in tree if path.startswith(prefix)):
        first, *rest = path.removeprefix(prefix).split("/")
        entry = {"type": "file", "path": path, "size": len(tree[path].data), "oid": tree[path].oid}
        if tree[path].large:
            entry["lfs"] = {"oid": entry["oid"], "size": entry["size"], "pointerSize": 130}
        if rest and not deep:
            entry = {"type": "directory", "path": prefix + first, "oid": ""}
        found[entry["path"]] = entry
    return list(found.values())
