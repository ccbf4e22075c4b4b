"""Run processes that push to the stand-in for the hub or load from it."""

import os
from pathlib import Path

from tests.commands import Result, run_alone, run_python, script
from tests.fake_hub.server import Hub, User

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


def environment(hub: Hub, home: Path, **more: str) -> dict[str, str]:
    """What a client of the stand-in sees of the world: an empty home, and nothing of ours."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    client = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    home.mkdir(parents=True, exist_ok=True)
    places = {"HOME": str(home), "HF_HOME": str(home / "hf"), "MPLCONFIGDIR": str(home)}
    return {**kept, **client, **places, "OMP_NUM_THREADS": "1", **more}


def push(hub: Hub, home: Path, *flags: object) -> Result:
    """Run `push_to_hub.py`."""
    seen = environment(hub, home, HF_TOKEN=TOKEN, HF_HUB_DISABLE_PROGRESS_BARS="1")
    return run_python(script("push_to_hub"), *flags, cwd=home, inherited={}, **seen)


def without_package(hub: Hub, home: Path, code: str, *args: object) -> Result:
    """Run code that sees the libraries, but neither our packages nor a token."""
    seen = environment(hub, home, HF_HUB_OFFLINE="0")
    return run_alone(CUTS_OFF + code, *args, cwd=home, inherited={}, **seen)
