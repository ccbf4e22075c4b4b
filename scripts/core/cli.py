"""The frame of every command: one style of flags, and every mistake as one line.

Neither torch nor transformers is imported here: a misspelt flag does not wait for them.
"""

import argparse
import ast
import ctypes
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

try:
    from vsc_dataset.checking import nearest
except ModuleNotFoundError as missing:  # numpy: another Python runs this command
    sys.exit(f"{missing}: activate the environment that `make train` makes, .venv/bin/activate")

OTHER_NAMES = {
    "--learning-rate": ("--lr",),
    "--max-samples": ("--epochs", "--steps", "--max-steps", "--num-train-epochs"),
    "--num-samples": ("--max-samples", "--limit"),
    "--samples-per-validation": ("--validation-questions",),
    "--mixed-precision": ("--bf16", "--fp16", "--amp"),
    "--trials": ("--seeds", "--runs"),
    "--data": ("--config", "--dataset", "--task"),
    "--device": ("--gpu", "--cuda"),
}
"""Flags, and what other tools call them; suggested where the command has the flag."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt: free memory, and size of a block, that go back to the system."""

HIGHEST_MMAP_THRESHOLD = 2**25
"""Older versions of glibc refuse more."""


class Parser(argparse.ArgumentParser):
    """Flags without abbreviations, and a ValueError of one line for every mistake.

    `flags` has the arguments of `add_argument` by name, `hints` what to do in place of flags that
    people try and that the command does not have.
    """

    def __init__(
        self,
        description: str | None,
        flags: Mapping[str, Mapping[str, Any]],
        hints: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.hints = hints or {}
        for name, settings in flags.items():
            self.add_argument(name, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print with a usage of forty flags."""
        raise ValueError(message)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all words; an unknown flag is named, with the nearest, before one that is missing.

        >>> Parser("", {"--jobs": {"type": int, "required": True}}).parse_args(["--job", "2"])
        Traceback (most recent call last):
        ValueError: flag --job is unknown: did you mean '--jobs'?
        """
        words = sys.argv[1:] if args is None else list(args)
        for flag in (word.partition("=")[0] for word in words):
            is_flag = re.fullmatch(r"--?[A-Za-z]\S*", flag)
            if is_flag and flag not in self._option_string_actions:
                raise ValueError(f"flag {flag} is unknown: {self._suggest(flag)}")
        parsed, rest = self.parse_known_args(words, namespace)
        if rest:
            raise ValueError(f"{rest[0]!r} belongs to no flag: see --help")
        return parsed

    def _suggest(self, flag: str) -> str:
        """Say what to write in place of an unknown flag."""
        if flag in self.hints:
            return self.hints[flag]
        flags = sorted(self._option_string_actions)
        meant = [name for name, others in OTHER_NAMES.items() if flag in others and name in flags]
        return f"did you mean {meant[0]!r}?" if meant else nearest(flag, flags)


def flag_of(name: str) -> str:
    """Return the flag of a field.

    >>> flag_of("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def int_from(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """Make the `type` of a flag that takes whole numbers within limits.

    >>> Parser("", {"--jobs": {"type": int_from(1, 64)}}).parse_args(["--jobs", "100000"])
    Traceback (most recent call last):
    ValueError: argument --jobs: 100000 must be from 1 to 64
    """

    def parse(word: str) -> int:
        try:
            number = int(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word[:40]!r} is not a whole number") from None
        if number < lowest or (highest is not None and number > highest):
            limits = f"{lowest} or more" if highest is None else f"from {lowest} to {highest:,}"
            raise argparse.ArgumentTypeError(f"{word} must be {limits}")
        return number

    return parse


def positive(word: str) -> float:
    """Read a number above 0, as the `type` of a flag."""
    try:
        number = float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word[:40]!r} is not a number") from None
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{word} must be above 0")
    return number


def read_pairs(flag: str, words: Sequence[str]) -> dict[str, Any]:
    """Read settings from `name=value`, see `parse_value`.

    >>> read_pairs("--model-args", ["hidden_size=48", "dilation=1,2", "act=gelu", "tie=false"])
    {'hidden_size': 48, 'dilation': [1, 2], 'act': 'gelu', 'tie': False}
    """
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"{flag} {word[:80]!r}: write name=value")
        if not word.isprintable():
            raise ValueError(f"{flag} {word[:80]!r} holds a line break or the like: use one line")
        if name in pairs:
            raise ValueError(f"{flag} gives {name} twice: leave one of them out")
        pairs[name] = parse_value(value)
    return pairs


def parse_value(text: str) -> Any:
    """Read a value as Python or JSON writes it; a text where it is neither. Tuples become lists.

    >>> [parse_value(text) for text in ("False", "null", "3,4", '{"a": true}', "1e-3", "gelu")]
    [False, None, [3, 4], {'a': True}, 0.001, 'gelu']
    """
    for parse in (ast.literal_eval, json.loads):
        try:
            with warnings.catch_warnings(action="ignore"):  # of odd literals such as 5to7
                # As JSON has it: what a checkpoint keeps.
                return json.loads(json.dumps(parse(text), allow_nan=False))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return text


def hide_credentials(text: str) -> str:
    """Leave name and password out of the addresses in a text: HF_ENDPOINT may have them.

    >>> hide_credentials("cannot reach https://me:secret@hub.example:8443/x")
    'cannot reach https://hub.example:8443/x'
    """
    return re.sub(r"(\w://)[^\s/]+@", r"\1", text)


@contextmanager
def _logs_without_credentials() -> Iterator[None]:
    """Hide credentials in what libraries log: huggingface_hub logs the address of each retry."""
    make = logging.getLogRecordFactory()

    def factory(*args: Any, **settings: Any) -> logging.LogRecord:
        record = make(*args, **settings)
        with suppress(Exception):  # arguments that do not fit: logging tells, and goes on
            record.msg, record.args = hide_credentials(record.getMessage()), ()
        return record

    logging.setLogRecordFactory(factory)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)


def keep_freed_memory(kept_bytes: int = 2**30) -> None:
    """Make glibc keep what is freed, where it is the allocator.

    It gave the memory of large tensors back to the system after each step, and fetched it anew.
    """
    with suppress(AttributeError, TypeError):  # another allocator, another system
        set_option = ctypes.CDLL(None).mallopt
        set_option(M_MMAP_THRESHOLD, min(kept_bytes, HIGHEST_MMAP_THRESHOLD))
        set_option(M_TRIM_THRESHOLD, kept_bytes)


def run(command: str, main: Callable[[], None], hint: str = "") -> None:
    """Run a command; what a user can fix is one line on stderr, with exit code 1.

    `hint` says how to go on after an interruption.
    """
    keep_freed_memory()
    try:
        with _logs_without_credentials():
            main()
            sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough; what is left goes nowhere at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, OSError) as error:
        sys.exit(hide_credentials(f"{command}: {error}"))
    except ModuleNotFoundError as error:
        if (error.name or "scripts").partition(".")[0] in ("scripts", "vsc_dataset", "vsc_models"):
            raise  # a fault of ours
        sys.exit(
            f"{command}: {error}: activate the environment that `make train` makes "
            "(source .venv/bin/activate), or pip install '.[train]' in the clone"
        )
    except KeyboardInterrupt:
        sys.exit(f"{command}: interrupted" + (f": {hint}" if hint else ""))
