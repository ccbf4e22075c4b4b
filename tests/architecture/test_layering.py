"""The architecture: a module imports only what stands before it, and a library has few users."""

import ast

import pytest

from tests.commands import ROOT

MODULES = {
    "vsc_dataset": """
        language vocabulary generator generator.hashing splits generator.spec checking
        configs encoding rewards generator.reference generator.lookup generator.buffers
        generator.draw generator.render generator.trace sampling stream
        torch_stream arrow builder load_dataset metrics
    """,
    "vsc_models": """
        configuration_vsc import_utils delta_rule dilated_conv
        counter selective_scan modeling_vsc modeling_conv modeling_lstm modeling_mamba
        baselines modeling_scaffold modeling_delta modeling_mixer tokenization_vsc pipeline_vsc
        registration
    """,
    "scripts": """
        core reporting evaluation training scorecards reproduction publishing benchmarks train
        evaluate scorecard reproduce build_dataset push_to_hub benchmark
    """,
}
"""The modules of each package: one imports only those before it; only `scripts` sees another."""

ORDER = {package: modules.split() for package, modules in MODULES.items()}

USERS = {
    "accelerate": "scripts/evaluation/grid.py scripts/training/distributed.py",
    "jinja2": "scripts/publishing/cards.py scripts/reproduction/pages.py",
    "matplotlib": "scripts/reporting/figures.py scripts/scorecards/report.py",
    "torch": (
        "scripts/benchmarks scripts/core scripts/evaluation "
        "scripts/reproduction/trials.py scripts/reproduction/word_problem.py "
        "scripts/training vsc_dataset/torch_stream.py vsc_models"
    ),
    "transformers": (
        "scripts/benchmarks scripts/build_dataset.py scripts/core/evaluation_format.py "
        "scripts/core/model_loading.py "
        "scripts/evaluate.py scripts/publishing/checkpoint.py scripts/reproduce.py "
        "scripts/scorecard.py scripts/train.py scripts/training vsc_models"
    ),
    "datasets": (
        "vsc_dataset/builder.py vsc_dataset/load_dataset.py "
        "vsc_dataset/metrics/vsc_error/vsc_error.py"
    ),
    "evaluate": "vsc_dataset/metrics/vsc_error/vsc_error.py",
    "pyarrow": "scripts/publishing/parquet.py vsc_dataset/arrow.py vsc_dataset/builder.py",
}
"""The only files or folders that may import a library."""


def imports_of(path: str, code: str) -> set[str]:
    """Return the modules that a file imports anywhere, with their full names."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = path.removesuffix(".py").split("/")[: -node.level or None]
            base = [*(parents if node.level else ()), *([node.module] if node.module else ())]
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def position(module: str) -> int:
    """Return where a module stands in its package; what the package itself exports comes last."""
    package, *rest = module.split(".")
    found = [".".join(rest[:n]) for n in (2, 1) if ".".join(rest[:n]) in ORDER[package]]
    return ORDER[package].index(found[0]) if found else len(ORDER[package])


def breaches(path: str, code: str) -> list[str]:
    """Return what a file imports against ORDER and USERS."""
    module = path.removesuffix(".py").replace("/", ".")
    package, wrong = path.partition("/")[0], []
    for name in sorted(imports_of(path, code)):
        top = name.partition(".")[0]
        if top == package:
            same = position(name) == position(module)
            allowed = same or position(name) < position(module)
        elif top in ORDER:
            allowed = package == "scripts"
        else:
            users = USERS.get(top, path).split()
            allowed = any(path == user or path.startswith(f"{user}/") for user in users)
        wrong += [] if allowed else [name]
    return wrong


FILES = [path for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_stands_before_it(path):
    relative = path.relative_to(ROOT)
    parts = relative.with_suffix("").parts[1:]
    listed = ORDER[relative.parts[0]]
    assert path.name == "__init__.py" or {parts[0], ".".join(parts[:2])} & {*listed}, "not in ORDER"
    assert not breaches(relative.as_posix(), path.read_text("utf-8"))


@pytest.mark.parametrize(
    "path, code",
    [
        ("vsc_dataset/language.py", "from vsc_dataset.sampling import sample"),
        ("vsc_dataset/stream.py", "import vsc_models"),
        ("vsc_models/delta_rule.py", "from .modeling_vsc import VscBackbone"),
        ("scripts/reporting/tables.py", "from scripts.training.loop import fit"),
        ("scripts/training/loop.py", "from scripts.train import main"),
        ("vsc_dataset/sampling.py", "def f():\n    import torch"),
    ],
)
def test_a_planted_breach_is_found(path, code):
    assert len(breaches(path, code)) == 1
