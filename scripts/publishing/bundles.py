"""A built dataset, a run, the metric or the demo -> the files that its repository shall hold."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts.core.hub_ids import check_repo_id
from scripts.publishing.cards import HUB_CARDS, metric_card, render, space_card, version
from scripts.publishing.dataset_card import (
    MANIFEST,
    RESULTS,
    dataset_card,
    read_manifest,
    read_results,
)
from scripts.publishing.reading import is_local, read_object, read_recipe
from vsc_dataset.configs import DATA_VERSION, make_config

ROOT = HUB_CARDS.parent
MARKER = "vsc.json"
"""Says in every repository what the last push wrote: nothing else is ever deleted."""

CARD = "README.md"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
RUN_FILE = "run.json"
RESULT_FILES = ("results.json", "trials.jsonl", "curves.png", "answers.png")
"""What a finished run holds next to its checkpoint."""

Kind = Literal["dataset", "model", "metric", "space"]
SIGNS: Mapping[str, str] = {
    MANIFEST: "dataset",
    "config.json": "model",
    "vsc_error.py": "metric",
    "app.py": "space",
}
"""A file that is in the folder of each kind alone."""

MAKERS = {
    "dataset": "a folder that scripts/build_dataset.py has built",
    "model": "a finished run, such as runs/001-swap-delta",
    "metric": "vsc_dataset/metrics/vsc_error",
    "space": "hub_cards/space",
}


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
    licence: str | None = None,
) -> Bundle:
    """Gather everything that a repository shall hold.

    Args:
      kind: what `path` is.
      path: a folder, see MAKERS.
      repo: "owner/name".
      scratch: an empty folder, for what is made for the repository.
      checkpoints: ids of models that a demo asks beside those of its checkpoints.json.
      licence: of a model, an id of the hub's list; see `model_card`.
    Raises:
      ValueError: `path` is something else, lacks a file, holds pickled weights, or the kind has
        no such option.
    """
    check_repo_id(repo, "REPO")
    for name in checkpoints:
        check_repo_id(name, "--checkpoints")
    for flag, value, of in (
        ("--checkpoints", checkpoints, "space"),
        ("--license", licence, "model"),
    ):
        if value and kind != of:
            raise ValueError(f"{flag} is for a {of}, this is a {kind}: leave it out")
    _check_kind(kind, path)
    files: dict[str, Path | bytes]
    tag, sdk = f"v{version()}", None
    if kind == "dataset":
        files, tag = _dataset_files(path, repo, scratch), f"v{DATA_VERSION}"
    elif kind == "model":
        files = _model_files(path, repo, licence)
    elif kind == "metric":
        files, sdk = _metric_files(path, repo), "static"
    else:
        files, sdk = _space_files(path, repo, scratch, checkpoints), "gradio"
    pickled = [name for name in files if name.endswith(PICKLES)]
    if pickled:
        raise ValueError(f"{path} holds {pickled[0]}: weights are pushed as safetensors alone")
    files[MARKER] = marker(kind, files)
    repo_type = kind if kind in ("dataset", "model") else "space"
    return Bundle(repo, repo_type, dict(sorted(files.items())), tag, sdk)


def marker(kind: str, files: Mapping[str, Path | bytes]) -> bytes:
    """The marker file of a push of these files, a card among them."""
    origin = {"kind": kind, "package": version(), "data": DATA_VERSION}
    written = {"files": sorted({*files, MARKER}), "card": git_hash(files[CARD])}
    return json.dumps(origin | written, indent=1).encode() + b"\n"


def read_content(content: Path | bytes) -> bytes:
    """The bytes of a file of a bundle."""
    return content if isinstance(content, bytes) else content.read_bytes()


def git_hash(content: Path | bytes) -> str:
    """The hash that a hub lists a small file under, that of a git blob."""
    data = read_content(content)
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def sha256_of(content: Path | bytes) -> str:
    """The hash that a hub lists a large file under, and the manifest too."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_kind(kind: Kind, path: Path) -> None:
    """ValueError unless the folder is of this kind."""
    if not path.is_dir():
        raise ValueError(f"{path} is no folder: give {MAKERS[kind]}")
    found = next((of for sign, of in SIGNS.items() if (path / sign).exists()), None)
    if found == kind:
        return
    said = f"it looks like a {found}" if found else "nothing to push is in it"
    raise ValueError(f"{path} is no {kind} ({said}): give {MAKERS[kind]}")


def _dataset_files(path: Path, repo: str, scratch: Path) -> dict[str, Path | bytes]:
    """Parquet, manifest, card, the results behind the baselines, and the wheel."""
    manifest = read_manifest(path)
    if not manifest["configs"]:
        raise ValueError(f"{path} holds no whole configuration: go on with build_dataset.py")
    files: dict[str, Path | bytes] = {MANIFEST: path / MANIFEST}
    for splits in manifest["configs"].values():
        for split in splits.values():
            for name, found in split["files"].items():
                if not (path / name).exists() or sha256_of(path / name) != found["sha256"]:
                    raise ValueError(
                        f"{path / name} is not what {MANIFEST} says: build_dataset.py --verify "
                        f"{path} says more, and --output-dir {path} builds it again"
                    )
                files[name] = path / name
    wheel = build_wheel(scratch)
    files |= {f"results/{found.name}": found for found in RESULTS.glob("*.jsonl")}
    files[f"wheel/{wheel.name}"] = wheel
    files["README.md"] = dataset_card(manifest, repo, f"wheel/{wheel.name}").encode()
    return files


def build_wheel(folder: Path) -> Path:
    """The wheel of this clone; the same sources give the same bytes.

    Raises:
      ValueError: hatchling is not installed, or cannot build it.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    done = subprocess.run(
        [*command, str(folder)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    built = list(folder.glob("*.whl"))
    if done.returncode or not built:
        last = [*done.stderr.splitlines(), "no wheel"][-2 if done.stderr else -1]
        raise ValueError(
            f"the wheel cannot be built ({last}): pip install -e '.[dev]' in the clone"
        )
    return built[0]


def _model_files(path: Path, repo: str, licence: str | None) -> dict[str, Path | bytes]:
    """The checkpoint with tokenizer, pipeline and code, its card, results and pictures."""
    from scripts.publishing.checkpoint import read_checkpoint
    from scripts.publishing.model_card import model_card

    for found in path.iterdir():
        if found.suffix in PICKLES:
            raise ValueError(f"{found} is pickled: weights are pushed as safetensors alone")
    for needed in ("model.safetensors", RUN_FILE, *RESULT_FILES):
        if not (path / needed).exists():
            raise ValueError(f"{path / needed} is missing: give {MAKERS['model']}")
    checkpoint = read_checkpoint(path, make_config(read_recipe(path)["data"]))
    files: dict[str, Path | bytes] = {name: path / name for name in RESULT_FILES}
    files |= {path.name: path for path in path.glob("report.txt")}
    files |= checkpoint.files
    files[RUN_FILE] = _without_places(path / RUN_FILE)
    files["README.md"] = model_card(path, repo, checkpoint, licence).encode()
    return files


def _without_places(path: Path) -> bytes:
    """run.json with the mere names of local files and folders: their paths are nobody's business.

    A hub id or a model type stays as it is.
    """
    run = read_object(path, ("recipe",), "give a run as train.py leaves it")
    for key in ("model", "mixer"):
        place = str(run["recipe"].get(key, ""))
        if is_local(place):
            run["recipe"][key] = Path(place).name
    return json.dumps(run, indent=2).encode() + b"\n"


def _metric_files(path: Path, repo: str) -> dict[str, Path | bytes]:
    """The metric's module, the siblings that it imports, its card and a page."""
    module = path / "vsc_error.py"
    if repo.rpartition("/")[2] != module.stem:
        raise ValueError(
            f"the metric cannot be called {repo!r}: `evaluate` looks for a module of the "
            f"repository's name, so the name must be {module.stem}"
        )
    siblings = re.findall(r"^from \.(\w+) import", module.read_text("utf-8"), re.MULTILINE)
    files: dict[str, Path | bytes] = {module.name: module}
    files |= {f"{name}.py": path / f"{name}.py" for name in siblings}
    files["README.md"] = metric_card(module, repo).encode()
    files["index.html"] = render("metric.html", None, repo=repo).encode()
    return files


def _space_files(
    path: Path, repo: str, scratch: Path, checkpoints: Sequence[str]
) -> dict[str, Path | bytes]:
    """The demo, what it asks, the results that it shows, the wheel, its card."""
    files: dict[str, Path | bytes] = {}
    for found in sorted(path.rglob("*")):
        place = found.relative_to(path)
        hidden = any(part.startswith((".", "__pycache__")) for part in place.parts)
        if found.is_file() and not hidden:
            files[place.as_posix()] = found
    for room in ("results", "figures"):
        files |= {
            f"{room}/{found.name}": found
            for found in (HUB_CARDS / room).iterdir()
            if found.is_file()
        }
    listed = [*json.loads((path / "checkpoints.json").read_text("utf-8")), *checkpoints]
    files["checkpoints.json"] = json.dumps(listed, indent=1).encode() + b"\n"
    wheel = build_wheel(scratch)
    files[f"wheel/{wheel.name}"] = wheel
    recipes = sorted({records[0].recipe for records in read_results()})
    files["README.md"] = space_card(repo, listed, recipes, _gradio(path)).encode()
    return files


def _gradio(path: Path) -> str:
    """The version of Gradio that the demo needs."""
    needed = (path / "requirements.txt").read_text("utf-8")
    pinned = re.search(r"^gradio(?:\[.*\])?==([\d.]+)", needed, re.MULTILINE)
    if not pinned:
        raise ValueError(f"{path / 'requirements.txt'} pins no gradio: write gradio==VERSION")
    return pinned[1]
