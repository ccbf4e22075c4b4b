"""Run processes that push to the stand-in for the hub or load from it."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.fake_hub.server import Hub, User

ROOT = Path(__file__).parents[2]
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
) -> subprocess.CompletedProcess[str]:
    """Run `push_to_hub.py`."""
    url = hub if isinstance(hub, str) else hub.url
    process = start(url, home, *flags, token=token, **more)
    out, error = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def start(
    url: str, home: Path, *flags: object, token: str | None = TOKEN, **more: str
) -> subprocess.Popen[str]:
    """Start `push_to_hub.py`."""
    command = [sys.executable, str(ROOT / "scripts" / "push_to_hub.py"), *map(str, flags)]
    seen = environment(url, home, token, HF_HUB_DISABLE_PROGRESS_BARS="1", **more)
    return subprocess.Popen(
        command, cwd=home, env=seen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def without_package(
    hub: Hub, home: Path, code: str, *args: object, path: Sequence[object] = (SITE,)
) -> subprocess.CompletedProcess[str]:
    """Run code that sees the libraries, but neither our packages nor a token."""
    command = [sys.executable, "-S", "-c", CUTS_OFF + code, *map(str, args)]
    seen = environment(hub.url, home, None, PYTHONPATH=os.pathsep.join(map(str, path)))
    return subprocess.run(command, cwd=home, env=seen, capture_output=True, text=True)
