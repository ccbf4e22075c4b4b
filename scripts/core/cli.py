"""The frame of every command: one style of flags, and every mistake as one line.

No library is imported here: a misspelt flag is answered in a tenth of a second.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from vsc_dataset.checking import nearest

OTHER_NAMES = {
    "--lr": "--learning-rate",
    "--epochs": "--max-samples",
    "--steps": "--max-samples",
    "--num-samples": "--max-samples",
    "--name": "--output-dir",
    "--seeds": "--trials",
    "--layer": "--mixer",
    "--config": "--data",
}
"""What other tools call our flags; suggested where the command has the flag meant."""


class Parser(argparse.ArgumentParser):
    """Flags without abbreviations, and a ValueError of one line for every mistake."""

    def __init__(self, description: str | None, flags: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for name, settings in flags.items():
            self.add_argument(name, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print with a usage of forty flags."""
        raise ValueError(message)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all words.

        Raises:
          ValueError: an unknown flag (the nearest is named), a word too many, or a wrong value.

        >>> Parser("", {"--jobs": {"type": int}}).parse_args(["--job", "2"])
        Traceback (most recent call last):
        ValueError: flag --job is unknown: did you mean '--jobs'?
        """
        found, unknown = self.parse_known_args(args, namespace)
        known = sorted(self._option_string_actions)
        for word in unknown:
            flag = word.partition("=")[0]
            if flag.startswith("-"):
                meant = OTHER_NAMES.get(flag)
                words = f"did you mean {meant!r}?" if meant in known else nearest(flag, known)
                raise ValueError(f"flag {flag} is unknown: {words}")
            raise ValueError(f"{word!r} belongs to no flag: see --help")
        return found


def flag_of(name: str) -> str:
    """Return the flag of a field.

    >>> flag_of("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def read_pairs(flag: str, words: Sequence[str]) -> dict[str, Any]:
    """Read settings from `name=value`, a value as TOML writes it or else as a text.

    >>> read_pairs("--model-args", ["hidden_size=48", "dilation=[1, 2]", "hidden_act=gelu"])
    {'hidden_size': 48, 'dilation': [1, 2], 'hidden_act': 'gelu'}
    """
    import tomllib

    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"{flag} {word!r}: write name=value")
        try:
            pairs[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            pairs[name] = value
    return pairs


def run(command: str, main: Callable[[], None], hint: str = "") -> None:
    """Run a command; what a user can fix is one line on stderr, with exit code 1.

    Args:
      command: its name.
      main: what it does.
      hint: how to go on after an interruption.
    """
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"{command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{command}: interrupted" + (f": {hint}" if hint else ""))
