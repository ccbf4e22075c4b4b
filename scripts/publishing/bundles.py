"""Gather the files that a repository shall hold: of a dataset, a run, the metric or the demo."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scripts.core.hub_ids import check_repo_id
from scripts.core.io import name_file, read_json
from scripts.publishing.cards import (
    HUB_CARDS,
    RESULTS,
    RUN_HINT,
    dataset_card,
    is_local,
    metric_card,
    model_card,
    read_recipe,
    render,
    space_card,
    version,
)
from scripts.publishing.parquet import CARD, GUARD, MANIFEST, file_sha256, read_manifest
from vsc_dataset.configs import DATA_VERSION, make_config

MARKER = "vsc.json"
"""Says in every repository what the last push wrote: nothing else is ever deleted."""

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
RUN_FILE = "run.json"
RESULT_FILES = ("results.json", "trials.jsonl", "curves.png", "answers.png")
"""What a finished run holds next to its checkpoint."""

Files = dict[str, Path | bytes]
Kind = Literal["dataset", "model", "metric", "space"]
KINDS: Mapping[str, tuple[str, str]] = {
    "dataset": (MANIFEST, "a folder that scripts/build_dataset.py has built"),
    "model": ("config.json", "a finished run, such as runs/001-swap-delta"),
    "metric": ("vsc_error.py", "vsc_dataset/metrics/vsc_error"),
    "space": ("app.py", "hub_cards/space"),
}
"""Of each kind a file that is in its folder alone, and what its folder is."""


@dataclass(frozen=True)
class Bundle:
    """What a repository shall hold.

    Attributes:
      repo: its id, "owner/name".
      repo_type: "dataset", "model" or "space".
      files: their content or where it lies, by path in the repository.
      tag: the name of this state.
      sdk: of a Space.
    """

    repo: str
    repo_type: str
    files: Mapping[str, Path | bytes]
    tag: str
    sdk: str | None = None


def assemble(
    kind: Kind,
    path: Path,
    repo: str,
    scratch: Path,
    checkpoints: Sequence[str] = (),
    license_id: str | None = None,
) -> Bundle:
    """Gather everything that a repository shall hold.

    Args:
      kind: what `path` is.
      path: a folder, see KINDS.
      repo: "owner/name".
      scratch: an empty folder, for what is made for the repository.
      checkpoints: ids of models that a demo evaluates in addition to those of its checkpoints.json.
      license_id: of a model, an id of the hub's list; see `model_card`.
    Raises:
      ValueError: `path` is something else, lacks a file, holds pickled weights, or the kind has
        no such option.
    """
    check_repo_id(repo, "REPO")
    for name in checkpoints:
        check_repo_id(name, "--checkpoints")
    for flag, value, of in (
        ("--checkpoints", checkpoints, "space"),
        ("--license", license_id, "model"),
    ):
        if value and kind != of:
            raise ValueError(f"{flag} is for a {of}, this is a {kind}: leave it out")
    _check_kind(kind, path)
    tag, sdk = f"v{version()}", None
    if kind == "dataset":
        files, tag = _dataset_files(path, repo, scratch), f"v{DATA_VERSION}"
    elif kind == "model":
        files = _model_files(path, repo, license_id)
    elif kind == "metric":
        files, sdk = _metric_files(path, repo), "static"
    else:
        files, sdk = _space_files(path, repo, scratch, checkpoints), "gradio"
    _check_pickles(files, path)
    files[MARKER] = marker(kind, files)
    repo_type = kind if kind in ("dataset", "model") else "space"
    return Bundle(repo, repo_type, dict(sorted(files.items())), tag, sdk)


def marker(kind: str, files: Mapping[str, Path | bytes]) -> bytes:
    """Write the marker file of a push of these files, a card among them."""
    origin = {"kind": kind, "package": version(), "data": DATA_VERSION}
    written = {"files": sorted({*files, MARKER}), "card": git_hash(files[CARD])}
    return _json(origin | written)


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def read_content(content: Path | bytes) -> bytes:
    """Return the bytes of a file of a bundle."""
    return content if isinstance(content, bytes) else content.read_bytes()


def git_hash(content: Path | bytes) -> str:
    """Return the hash that a hub lists a small file under, that of a git blob."""
    data = read_content(content)
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _check_kind(kind: Kind, path: Path) -> None:
    """Raise a ValueError unless the folder is of this kind."""
    sign, wanted = KINDS[kind]
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder: give {wanted}")
    if not (path / sign).exists():
        others = [f"it looks like a {k}" for k, (s, _) in KINDS.items() if (path / s).exists()]
        reason = (others or ["nothing to push is in it"])[0]
        raise ValueError(f"{path} is not a {kind} ({reason}): give {wanted}")


def _check_pickles(names: Sequence[str] | Mapping[str, Any], path: Path) -> None:
    """Raise a ValueError where weights are pickled: to read them runs what is in them."""
    for name in names:
        if name.endswith(PICKLES):
            raise ValueError(f"{path / name} is pickled: weights are pushed as safetensors alone")


def _dataset_files(path: Path, repo: str, scratch: Path) -> Files:
    """Gather Parquet, manifest, card, the results of the baselines, and the wheel."""
    manifest = read_manifest(path)
    if not manifest["configs"]:
        raise ValueError(f"{path} holds no whole configuration: go on with build_dataset.py")
    files: Files = {MANIFEST: path / MANIFEST}
    for config, splits in manifest["configs"].items():
        files[f"{config}/{GUARD}"] = path / config / GUARD
        for name, facts in (file for of in splits.values() for file in of["files"].items()):
            if not (path / name).exists() or file_sha256(path / name) != facts["sha256"]:
                raise ValueError(
                    f"{path / name} is not what {MANIFEST} says: build_dataset.py --verify {path} "
                    f"says more, and --output-dir {path} builds it again"
                )
            files[name] = path / name
    files |= {f"results/{file.name}": file for file in RESULTS.glob("*.jsonl")}
    wheel = build_wheel(scratch)
    files[f"wheel/{wheel.name}"] = wheel
    files[CARD] = dataset_card(manifest, repo, f"wheel/{wheel.name}").encode()
    return files


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this clone; the same sources give the same bytes.

    Raises:
      ValueError: hatchling is not installed, or cannot build it.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    done = subprocess.run(
        [*command, str(folder)], cwd=HUB_CARDS.parent, check=False, capture_output=True, text=True
    )
    built = list(folder.glob("*.whl"))
    if done.returncode or not built:
        last = [*done.stderr.splitlines(), "no wheel"][-2 if done.stderr else -1]
        raise ValueError(
            f"the wheel cannot be built ({last}): pip install -e '.[dev]' in the clone"
        )
    return built[0]


def _model_files(path: Path, repo: str, license_id: str | None) -> Files:
    """Gather the checkpoint with tokenizer, pipeline and code, its card, results and pictures."""
    from scripts.publishing.checkpoint import WEIGHTS, read_checkpoint

    _check_pickles(sorted(file.name for file in path.iterdir()), path)
    for needed in (WEIGHTS, RUN_FILE, *RESULT_FILES):
        if not (path / needed).exists():
            raise ValueError(f"{path / needed} is missing: give {KINDS['model'][1]}")
    checkpoint, facts = read_checkpoint(path, make_config(read_recipe(path).data))
    files: Files = {name: path / name for name in RESULT_FILES}
    files |= {file.name: file for file in path.glob("report.txt")}
    files |= checkpoint
    files[RUN_FILE] = _without_places(path / RUN_FILE)
    files[CARD] = model_card(path, repo, facts, license_id).encode()
    return files


def _without_places(path: Path) -> bytes:
    """Write run.json with the mere names of local files and folders: their paths are private.

    A hub id or a model type stays as it is.
    """
    run = read_json(path, ("recipe",), RUN_HINT)
    for key in ("model", "mixer"):
        location = str(run["recipe"].get(key, ""))
        if is_local(location):
            run["recipe"][key] = Path(location).name
    return _json(run)


def _metric_files(path: Path, repo: str) -> Files:
    """Gather the metric's module, the siblings that it imports, its card and a page."""
    module = path / "vsc_error.py"
    if repo.rpartition("/")[2] != module.stem:
        raise ValueError(
            f"the metric cannot be called {repo!r}: `evaluate` looks for a module of the "
            f"repository's name, so the name must be {module.stem}"
        )
    siblings = re.findall(r"^from \.(\w+) import", module.read_text("utf-8"), re.MULTILINE)
    files: Files = {name: path / name for name in (module.name, *(f"{s}.py" for s in siblings))}
    files[CARD] = metric_card(module, repo).encode()
    files["index.html"] = render("metric.html", repo).encode()
    return files


def _space_files(path: Path, repo: str, scratch: Path, checkpoints: Sequence[str]) -> Files:
    """Gather the demo, the results that it shows, the wheel, its card."""
    paths = ((file.relative_to(path), file) for file in sorted(path.rglob("*")) if file.is_file())
    files: Files = {
        relative.as_posix(): file
        for relative, file in paths
        if not any(part.startswith((".", "__pycache__")) for part in relative.parts)
    }
    for name in ("results", "figures"):
        copied = (file for file in (HUB_CARDS / name).iterdir() if file.is_file())
        files |= {f"{name}/{file.name}": file for file in copied}
    listed = path / "checkpoints.json"
    with name_file(listed, "list the ids of models"):
        names = [*json.loads(listed.read_text("utf-8")), *checkpoints]
        for name in names:
            check_repo_id(name, "checkpoint")
    wheel = build_wheel(scratch)
    files |= {listed.name: _json(names), f"wheel/{wheel.name}": wheel}
    needed = (path / "requirements.txt").read_text("utf-8")
    pinned = re.search(r"^gradio(?:\[.*\])?==([\d.]+)", needed, re.MULTILINE)
    if not pinned:
        raise ValueError(f"{path / 'requirements.txt'} pins no gradio: write gradio==VERSION")
    files[CARD] = space_card(repo, names, pinned[1]).encode()
    return files
