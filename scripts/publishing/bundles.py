"""Gather the files that a repository shall hold: of a dataset, a run, the metric or the demo."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from scripts.core.hub_ids import check_repo_id
from scripts.core.io import HUB_CARDS, ROOT, RUN_FILE, file_sha256, read_json
from scripts.publishing.cards import (
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
from scripts.publishing.parquet import CARD, GUARD, MANIFEST, read_manifest
from vsc_dataset.configs import DATA_VERSION

MARKER = "vsc.json"
"""Says in every repository what the last push wrote: nothing else is ever deleted."""

RESULT_FILES = ("results.json", "trials.jsonl", "curves.png", "answers.png")
"""What a finished run holds next to its checkpoint."""

Files = dict[str, Path | bytes]
KINDS = {
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
      kind: one of KINDS.
      repo: its id, "owner/name".
      files: their content or where it lies, by path in the repository.
      tag: the name of this state.
    """

    kind: str
    repo: str
    files: Mapping[str, Path | bytes]
    tag: str

    @property
    def repo_type(self) -> str:
        """What the hub calls such a repository."""
        return self.kind if self.kind in ("dataset", "model") else "space"

    @property
    def sdk(self) -> str | None:
        """Of a Space: a metric is a page."""
        return {"metric": "static", "space": "gradio"}.get(self.kind)


def assemble(
    kind: str,
    path: Path,
    repo: str,
    scratch: Path,
    checkpoints: Sequence[str] = (),
    license_id: str | None = None,
) -> Bundle:
    """Gather everything that a repository shall hold.

    Args:
      kind: what `path` is, one of KINDS.
      path: a folder, see KINDS.
      repo: "owner/name".
      scratch: an empty folder, for what is made for the repository.
      checkpoints: ids of models that a demo evaluates in addition to those of its checkpoints.json.
      license_id: of a model, an id of the hub's list; see `model_card`.
    Raises:
      ValueError: `path` is something else, lacks a file, or the kind has no such option.
    """
    check_repo_id(repo, "REPO")
    options = (("--checkpoints", checkpoints, "space"), ("--license", license_id, "model"))
    for flag, value, of in options:
        if value and kind != of:
            raise ValueError(f"{flag} is for a {of}, this is a {kind}: leave it out")
    sign, wanted = KINDS[kind]
    if not (path / sign).exists():
        raise ValueError(f"{path} is not a {kind}, it has no {sign}: give {wanted}")
    if kind == "dataset":
        files = _dataset_files(path, repo, scratch)
    elif kind == "model":
        files = _model_files(path, repo, license_id)
    elif kind == "metric":
        files = _metric_files(path, repo)
    else:
        files = _space_files(path, repo, scratch, checkpoints)
    files[MARKER] = marker(kind, files)
    tag = DATA_VERSION if kind == "dataset" else version()
    return Bundle(kind, repo, dict(sorted(files.items())), f"v{tag}")


def marker(kind: str, files: Mapping[str, Path | bytes]) -> bytes:
    """Write the marker file of a push of these files, a card among them."""
    versions = {"package": version(), "data": DATA_VERSION}
    written = {"files": sorted({*files, MARKER}), "card": git_hash(files[CARD])}
    return _json({"kind": kind, **versions, **written})


def git_hash(content: Path | bytes) -> str:
    """Return the hash by which git and the hub name a small file."""
    data = content if isinstance(content, bytes) else content.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def _dataset_files(path: Path, repo: str, scratch: Path) -> Files:
    """Gather Parquet, manifest, card, the results of the baselines, and the wheel."""
    manifest = read_manifest(path)
    if not manifest["configs"]:
        raise ValueError(f"{path} holds no whole configuration: go on with build_dataset.py")
    splits = [split for config in manifest["configs"].values() for split in config.values()]
    hashes = {name: facts["sha256"] for split in splits for name, facts in split["files"].items()}
    for name, sha256 in hashes.items():
        if not (path / name).exists() or file_sha256(path / name) != sha256:
            raise ValueError(
                f"{path / name} is not what {MANIFEST} says: build_dataset.py --verify {path} "
                f"says more, and --output-dir {path} builds it again"
            )
    guards = [f"{config}/{GUARD}" for config in manifest["configs"]]
    files: Files = {name: path / name for name in (MANIFEST, *guards, *hashes)}
    files |= {f"results/{file.name}": file for file in RESULTS.glob("*.jsonl")}
    wheel = build_wheel(scratch)
    files[f"wheel/{wheel.name}"] = wheel
    files[CARD] = dataset_card(manifest, repo, f"wheel/{wheel.name}").encode()
    return files


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this clone; the same sources give the same bytes."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    done = subprocess.run(
        [*command, str(folder)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode:
        reason = " ".join(done.stderr.splitlines()[-1:])
        raise ValueError(
            f"the wheel cannot be built ({reason}): pip install -e '.[dev]' in the clone"
        )
    return next(folder.glob("*.whl"))


def _model_files(path: Path, repo: str, license_id: str | None) -> Files:
    """Gather the checkpoint with tokenizer, pipeline and code, its card, results and pictures."""
    from scripts.core.model_loading import WEIGHTS
    from scripts.publishing.checkpoint import read_checkpoint

    for needed in (WEIGHTS, RUN_FILE, *RESULT_FILES):
        if not (path / needed).exists():
            raise ValueError(f"{path / needed} is missing: give {KINDS['model'][1]}")
    try:
        with safe_open(path / WEIGHTS, "numpy"):
            pass
    except SafetensorError as error:
        raise ValueError(f"{path / WEIGHTS} is damaged ({error}): copy or train it again") from None
    files, facts = read_checkpoint(path, read_recipe(path).config)
    files |= {name: path / name for name in RESULT_FILES}
    files |= {file.name: file for file in path.glob("report.txt")}
    files[RUN_FILE] = _without_places(path / RUN_FILE)
    files[CARD] = model_card(path, repo, facts, license_id).encode()
    return files


def _without_places(path: Path) -> bytes:
    """Write run.json with the mere names of local files and folders: their paths are private."""
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
    files[CARD] = metric_card(repo).encode()
    files["index.html"] = render("metric.html", repo).encode()
    return files


def _space_files(path: Path, repo: str, scratch: Path, checkpoints: Sequence[str]) -> Files:
    """Gather the demo, the results that it shows, the wheel, its card."""
    paths = [file.relative_to(path) for file in path.rglob("*") if file.is_file()]
    files: Files = {
        file.as_posix(): path / file
        for file in paths
        if not any(part.startswith((".", "__pycache__")) for part in file.parts)
    }
    for shown in (HUB_CARDS / "tables" / "scorecards.md", *(HUB_CARDS / "figures").glob("*.png")):
        files[shown.relative_to(HUB_CARDS).as_posix()] = shown
    listed = path / "checkpoints.json"
    names = [*json.loads(listed.read_text("utf-8")), *checkpoints]
    for name in names:
        check_repo_id(name, "--checkpoints")
    wheel = build_wheel(scratch)
    files |= {listed.name: _json(names), f"wheel/{wheel.name}": wheel}
    needed = (path / "requirements.txt").read_text("utf-8")
    (gradio,) = re.findall(r"^gradio(?:\[.*\])?==([\d.]+)", needed, re.MULTILINE)
    files[CARD] = space_card(repo, names, gradio).encode()
    return files
