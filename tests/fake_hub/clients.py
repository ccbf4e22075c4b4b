"""Run processes that push to the stand-in for the hub or load from it."""

import os
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.commands import Result, run_python, script
from tests.fake_hub.server import Hub, User

SITE = sysconfig.get_path("purelib")
TOKEN = "hf_theSecretThatNobodyMaySee"
READER = "hf_theSecretThatMayOnlyRead"
USERS = {TOKEN: User("tester", ("acme",)), READER: User("reader", ("acme",), "read")}
INHERITED = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
CUTS_OFF = """
import socket
def refuse(*args, **kwargs): raise OSError("no network in this test")
real = socket.socket.connect
def connect(self, address):
    return real(self, address) if address[0] == "127.0.0.1" else refuse()
socket.socket.connect = connect
"""
"""Runs before such code: the stand-in is all of the network."""


def environment(url: str, home: Path, token: str | None, **more: str) -> dict[str, str]:
    """What a client of the stand-in sees of the world: an empty home, and nothing of ours."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    client = {"HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    home.mkdir(parents=True, exist_ok=True)
    places = {"HOME": str(home), "HF_HOME": str(home / "hf"), "MPLCONFIGDIR": str(home)}
    said = {"HF_TOKEN": token} if token else {}
    return {**kept, **client, **places, **said, "OMP_NUM_THREADS": "1", **more}


def push(
    hub: Hub | str, home: Path, *flags: object, token: str | None = TOKEN, **more: str
) -> Result:
    """Run `push_to_hub.py`."""
    url = hub if isinstance(hub, str) else hub.url
    seen = environment(url, home, token, HF_HUB_DISABLE_PROGRESS_BARS="1", **more)
    return run_python(script("push_to_hub"), *flags, cwd=home, inherited={}, **seen)


def without_package(
    hub: Hub, home: Path, code: str, *args: object, path: Sequence[object] = (SITE,)
) -> Result:
    """Run code that sees the libraries, but neither our packages nor a token."""
    seen = environment(hub.url, home, None, PYTHONPATH=os.pathsep.join(map(str, path)))
    return run_python("-S", "-c", CUTS_OFF + code, *args, cwd=home, inherited={}, **seen)
