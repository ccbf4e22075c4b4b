"""The architecture: a file imports only what stands above it, and a library has one home."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("vsc_dataset", "vsc_models", "scripts")

FLOORS = {
    "vsc_dataset": [
        "language",
        "vocabulary",
        "generator",
        "generator.hashing",
        "splits",
        "generator.spec",
        "checking",
        "configs",
        "encoding",
        "generator.reference",
        "generator.lookup",
        "generator.buffers",
        "generator.draw",
        "generator.render",
        "generator.dense_targets",
        "sampling",
        "stream",
        "torch_stream",
        "arrow",
        "builder",
        "load_dataset",
        "metrics",
        "__init__",
    ],
    "vsc_models": [
        "configuration_vsc",
        "configuration_mixer",
        "import_utils",
        "delta_rule",
        "dilated_conv",
        "counter",
        "selective_scan",
        "modeling_vsc",
        "modeling_conv",
        "modeling_lstm",
        "modeling_mamba",
        "modeling_scaffold",
        "modeling_delta",
        "modeling_mixer",
        "tokenization_vsc",
        "pipeline_vsc",
        "registration",
        "__init__",
    ],
    "scripts": [
        "__init__",
        "core",
        "reporting",
        "evaluation",
        "training",
        "reproduction",
        "publishing",
        "benchmarks",
        "train",
        "evaluate",
        "reproduce",
        "build_dataset",
        "push_to_hub",
        "benchmark",
    ],
}
"""What each package holds, ground floor first: a room imports only rooms above it in its list."""

HOMES = {
    "accelerate": {"scripts/training/distributed.py"},
    "jinja2": {"scripts/publishing/cards.py", "scripts/reproduction/pages.py"},
    "matplotlib": {"scripts/reporting/figures.py"},
    "torch": {
        "scripts/benchmarks",
        "scripts/core",
        "scripts/evaluation",
        "scripts/reproduction/trials.py",
        "scripts/reproduction/word_problem.py",
        "scripts/training",
        "vsc_dataset/torch_stream.py",
        "vsc_models",
    },
    "transformers": {
        "scripts/benchmarks",
        "scripts/build_dataset.py",
        "scripts/evaluate.py",
        "scripts/core/model_loading.py",
        "scripts/publishing/checkpoint.py",
        "scripts/reproduce.py",
        "scripts/train.py",
        "scripts/training",
        "vsc_models",
    },
    "datasets": {
        "vsc_dataset/builder.py",
        "vsc_dataset/load_dataset.py",
        "vsc_dataset/metrics/vsc_error/vsc_error.py",
    },
    "evaluate": {"vsc_dataset/metrics/vsc_error/vsc_error.py"},
    "pyarrow": {
        "scripts/publishing/parquet.py",
        "vsc_dataset/arrow.py",
        "vsc_dataset/builder.py",
    },
}
"""The only files or folders that may import a library."""

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere, with their full names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = path.relative_to(ROOT).with_suffix("").parts[: -node.level or None]
            base = [*(parents if node.level else ()), *([node.module] if node.module else ())]
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def room(module: str) -> tuple[str, str]:
    """The package and the room of a module's full name."""
    package, *rest = module.split(".")
    names = (".".join(rest[:2]), ".".join(rest[:1]))
    return package, next((name for name in names if name in FLOORS[package]), "__init__")


def breaches(path: Path) -> list[str]:
    """What a file imports against the order of the house."""
    own_package, own_room = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found = []
    for module in imported(path):
        if module.partition(".")[0] not in PACKAGES:
            continue
        package, name = room(module)
        if package == own_package:
            floors = FLOORS[package]
            allowed = name == own_room or floors.index(name) < floors.index(own_room)
        else:
            allowed = own_package == "scripts"
        if not allowed:
            found.append(module)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_stands_above_it(path):
    assert not breaches(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_library_has_one_home(path):
    place = path.relative_to(ROOT).as_posix()
    for module in imported(path):
        homes = HOMES.get(module.partition(".")[0])
        if homes is not None:
            assert any(place == home or place.startswith(home + "/") for home in homes), module


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_is_on_the_list(package):
    found = {
        path.stem
        for path in (ROOT / package).iterdir()
        if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
    }
    assert found == {name.partition(".")[0] for name in FLOORS[package]}
    for name in FLOORS[package]:
        if "." in name:  # a room with rooms of its own: all are listed
            folder = ROOT / package / name.partition(".")[0]
            inside = {f"{folder.name}.{path.stem}" for path in folder.glob("[!_]*.py")}
            assert inside <= set(FLOORS[package])


@pytest.mark.parametrize(
    "place, code, breach",
    [
        ("vsc_dataset/language.py", "from vsc_dataset.sampling import sample", "sampling"),
        ("vsc_dataset/stream.py", "import vsc_models", "vsc_models"),
        ("vsc_models/delta_rule.py", "from .modeling_vsc import VscBackbone", "modeling_vsc"),
        ("scripts/reporting/tables.py", "from scripts.training.loop import fit", "training"),
        ("scripts/training/loop.py", "from scripts.train import main", "train"),
    ],
)
def test_a_planted_breach_is_found(tmp_path, monkeypatch, place, code, breach):
    monkeypatch.setattr("tests.architecture.test_layering.ROOT", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(code)
    assert len(breaches(path)) == 1
    assert breach in breaches(path)[0]
