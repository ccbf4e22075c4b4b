"""Import a class or function by "FILE.py:NAME" or "package.module:NAME", and call it."""

import difflib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from torch import nn

WIDTHS = (
    "hidden_size", "d_model", "dim", "model_dim", "input_size", "input_dim", "embed_dim",
    "embedding_dim", "n_embd", "n_embed", "d_embed", "channels", "width",
)  # fmt: skip
"""What layers call the width of their input, see `make_layer`."""

_CONFIGS = ("config", "configuration", "cfg", "args")
"""What layers call a config object."""

LIBRARIES = {"torch": "torch", "transformers": "transformers", "fla": "flash-linear-attention"}
"""Modules whose layers a checkpoint may name, and their distributions; other code is not run."""

_PACKAGES = {"fla": "flash-linear-attention", "mamba_ssm": "mamba-ssm", "xlstm": "xlstm"}
"""Modules that pip knows by another name."""


def find(target: str) -> Any:
    """Import the class or function of a target.

    Args:
      target: "FILE.py:NAME", the file seen from the working directory and imported alone, without
        its neighbors; or "package.module:NAME".
    Raises:
      ValueError: one line: there is no such file, module or name, a package is missing, or the
        import fails.

    >>> find("torch.nn:GRU").__name__
    'GRU'
    >>> find("torch.nn:GRUU")
    Traceback (most recent call last):
    ValueError: torch.nn has no 'GRUU': did you mean 'GRU'?
    """
    where, name = split_target(target)
    module = _import_file(Path(where)) if where.endswith(".py") else _import_module(where)
    if not hasattr(module, name):
        made = {key: x for key, x in vars(module).items() if isinstance(x, type | FunctionType)}
        if is_file(target):
            names = [key for key, x in made.items() if x.__module__ == module.__name__]
        else:
            names = [key for key in made if not key.startswith("_")]
        raise ValueError(f"{where} has no {name!r}: {_nearest(name, names)}")
    return getattr(module, name)


def find_source(target: str) -> bytes | None:
    """Read the file of a target, as it is now; None for a package."""
    return Path(split_target(target)[0]).read_bytes() if is_file(target) else None


def find_edited_source(target: str) -> bytes | None:
    """Read the source of a target that no package version identifies.

    That is FILE.py, or a module outside installed packages. None for installed packages and for
    this one.
    """
    if is_file(target) or _top(target) == __package__:
        return find_source(target)
    try:
        path = Path(inspect.getfile(inspect.unwrap(find(target)))).resolve()
    except (TypeError, ValueError, OSError):  # built in; or what is wrong shows elsewhere
        return None
    return path.read_bytes() if path.suffix == ".py" and not is_installed(path) else None


def is_installed(path: Path) -> bool:
    """Return whether a file is of Python or an installed package.

    >>> is_installed(Path(inspect.__file__)), is_installed(Path("mine/layer.py"))
    (True, False)
    """
    folders = sysconfig.get_paths()
    installed = {Path(folders[name]).resolve() for name in ("stdlib", "purelib", "platlib")}
    return not installed.isdisjoint(path.resolve().parents)


def split_target(target: str) -> tuple[str, str]:
    """Split a target into file or module and name; ValueError for a target without both."""
    where, colon, name = target.rpartition(":")
    if not (where and colon and name.isidentifier()):
        raise ValueError(f"{target!r} is not a target: use FILE.py:NAME or package.module:NAME")
    return where, name


def is_file(target: str) -> bool:
    """Return whether the target is in a file, rather than in a package."""
    return target.rpartition(":")[0].endswith(".py")


def is_library(target: str) -> bool:
    """Return whether the target is in an installed library of LIBRARIES, not in a folder here.

    >>> is_library("torch.nn:GRU"), is_library("mine.layers:GRU"), is_library("torch.py:GRU")
    (True, False, False)
    """
    top = _top(target)
    if top not in LIBRARIES:
        return False
    try:
        installed = distribution(LIBRARIES[top]).locate_file("")
        spec = importlib.util.find_spec(top)
    except (PackageNotFoundError, ValueError):
        return False
    # A folder of this name in the working directory would come first on sys.path.
    here = Path(str(installed)).resolve() / top / "__init__.py"
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == here


def make_layer(
    target: str, arguments: Mapping[str, Any], hidden_size: int, layer_idx: int = 0
) -> nn.Module:
    """Build a layer (B, L, D) -> (B, L, D).

    Args:
      target: of its class, or of a function that makes it, not one of LIBRARIES; see `find`.
      arguments: what it is called with. Every name of WIDTHS that its signature requires is added
        with D, or, if it requires none of them, every one that it has; and `layer_idx` and
        `batch_first=True` where the signature has those; `arguments` come first.
      hidden_size: D.
      layer_idx: its number among the layers of a model.
    Raises:
      ValueError: one line: as `find`, this is not a torch.nn.Module and makes none, an argument is
        unknown, it needs a config object, its constructor raises, or it has lazy parameters; the
        message shows error and arguments.

    >>> make_layer("torch.nn:GRU", {"num_layers": 2}, 8)
    GRU(8, 8, num_layers=2, batch_first=True)
    >>> make_layer("torch.nn:GRU", {"num_layer": 2}, 8)
    Traceback (most recent call last):
    ValueError: torch.nn:GRU has no argument 'num_layer': did you mean 'num_layers'?
    """
    make = find(target)
    is_layer = isinstance(make, type) and issubclass(make, nn.Module)
    # A checkpoint may name layers of LIBRARIES, but not have any function of them called.
    if not is_layer and (not inspect.isfunction(make) or _top(target) in LIBRARIES):
        raise ValueError(
            f"{target} is not a torch.nn.Module: name the class of a layer, or a function of yours "
            "that makes one"
        )
    parameters, takes_any = _parameters(make)
    for name in arguments:
        close = difflib.get_close_matches(name, parameters, 1, 0.8)
        if name not in parameters and (close or not takes_any):
            raise ValueError(f"{target} has no argument {name!r}: {_nearest(name, parameters)}")
    required = [name for name, default in parameters.items() if default is inspect.Parameter.empty]
    config = next((name for name in _CONFIGS if name in required and name not in arguments), None)
    if config:
        raise ValueError(
            f"{target} needs {config}, a config object: write a function that makes config and "
            "layer, and name that, FILE.py:FUNCTION; it is called with hidden_size where it takes "
            "that"
        )
    widths = [name for name in WIDTHS if name in required]
    widths = widths or [name for name in WIDTHS if name in parameters]
    values = {**dict.fromkeys(widths, hidden_size), "batch_first": True, "layer_idx": layer_idx}
    usual = {name: value for name, value in values.items() if name in parameters}
    try:
        layer = call(target, make, {**usual, **arguments})
    except ValueError as error:
        if "required" not in str(error):
            raise
        hint = "give it among the layer's arguments, --mixer-args NAME=VALUE"
        if not {*WIDTHS} & {*parameters}:
            hint += f"; a width is called {WIDTHS[0]!r} or the like"
        raise ValueError(f"{error}: {hint}") from error.__cause__
    return _check_layer(target, layer)


def _check_layer(target: str, layer: Any) -> nn.Module:
    """Return what a target made; a ValueError where that is not a layer of known sizes."""
    if not isinstance(layer, nn.Module):
        raise ValueError(f"{target} returns {type(layer).__name__}, not a torch.nn.Module")
    if any(isinstance(one, nn.UninitializedParameter) for one in layer.parameters()):
        raise ValueError(
            f"{target} has lazy parameters, which a checkpoint cannot be read into: give the sizes"
        )
    return layer


def call(target: str, function: Any, arguments: Mapping[str, Any]) -> Any:
    """Call a user's function or class; its errors are one line with the arguments and the place."""
    try:
        return function(**arguments)
    except (Exception, SystemExit) as error:
        _pass_signals_on(error)
        written = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f" (in {frame.filename}, line {frame.lineno}: {frame.line})"
        words = f"{target.rpartition(':')[2]}({written}) raised {format_error(error)}"
        raise ValueError(words + place * (frame.filename != __file__)) from error


def _pass_signals_on(error: BaseException) -> None:
    """Raise a SystemExit of a kind of its own again: a signal ends the process, not the layer."""
    if isinstance(error, SystemExit) and type(error) is not SystemExit:
        raise error


@cache
def package_version(target: str) -> str | None:
    """Return the package of a target and its version; None for a file.

    >>> package_version("torch.nn:GRU").split()[0]
    'torch'
    """
    names = packages_distributions().get(_top(target) or "", [])
    return f"{names[0]} {version(names[0])}" if names else None


def _parameters(make: Any) -> tuple[dict[str, Any], bool]:
    """Find the names that a class or function can be called with, each with its default.

    A constructor that hands `**kwargs` on takes those of its parent, as torch.nn.GRU does.

    Returns:
      Them, and whether any other name is taken too.
    """
    if inspect.isfunction(make):
        signatures = [[*inspect.signature(make).parameters.values()]]
    else:
        parents = make.__mro__[: make.__mro__.index(nn.Module)]
        constructors = (vars(one)["__init__"] for one in parents if "__init__" in vars(one))
        signatures = [[*inspect.signature(one).parameters.values()][1:] for one in constructors]
    defaults: dict[str, Any] = {}
    takes_any = False
    for parameters in signatures:
        for one in parameters:
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
                defaults.setdefault(one.name, one.default)
        takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
        if not takes_any:
            break
    return defaults, takes_any


def _top(target: str) -> str | None:
    """Return the top-level module of a target; None for a file."""
    return None if is_file(target) else split_target(target)[0].partition(".")[0]


def _import_file(path: Path) -> ModuleType:
    """Import a file alone; again where it has changed."""
    if not path.is_file():
        files = [str(near) for near in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise ValueError(f"{path} does not exist: {_nearest(str(path), files)}")
    identity = sha256(str(path.resolve()).encode() + path.read_bytes()).hexdigest()[:16]
    name = f"vsc_layer_{identity}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # a dataclass in the file looks its module up
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception | SystemExit):
            raise
        _pass_signals_on(error)
        words = f"{path} cannot be imported: {format_error(error)}"
        missing = isinstance(error, ModuleNotFoundError) and f"{error.name}.py"
        if "relative import" in str(error) or (missing and path.with_name(missing).exists()):
            words += ": a layer's file travels alone, so write what it needs into it"
        raise ValueError(words) from error
    return module


def _import_module(name: str) -> ModuleType:
    """Import a module of an installed package."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        top = missing.partition(".")[0]
        if top != missing and importlib.util.find_spec(top):
            raise ValueError(f"package {top!r} has no module {missing!r}") from None
        if Path(f"{name}.py").is_file():
            raise ValueError(f"{name} is not installed: did you mean {name}.py:NAME?") from None
        # A name that we do not know may be a checkpoint's: it is not told to install that.
        hint = f"pip install {_PACKAGES[top]}" if top in _PACKAGES else "install what provides it"
        raise ValueError(
            f"{name} needs the package {top!r}, which is not installed: {hint}"
        ) from None
    except Exception as error:
        raise ValueError(f"{name} cannot be imported: {format_error(error)}") from error


def format_error(error: BaseException) -> str:
    """Write an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _nearest(name: str, names: Iterable[str]) -> str:
    """Write the end of a message about an unknown name."""
    names = list(names)
    close = difflib.get_close_matches(name, names, 1, 0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"use one of {', '.join(names[:12])}" if names else "nothing like it is there"
