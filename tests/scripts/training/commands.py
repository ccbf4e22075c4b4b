"""The command `train.py` as processes, for the tests that need real ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SHORT = ("--recipe", "swap-delta", "--max-samples", "3200")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(*flags: str | Path) -> list[str]:
    """`train.py` as `accelerate launch` starts it for one process."""
    return [sys.executable, str(ROOT / "scripts" / "train.py"), *map(str, flags)]


def train(*flags: str | Path, cwd: Path, **settings) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        command(*flags), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, **settings
    )


def start(*flags: str | Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start the command."""
    return subprocess.Popen(
        command(*flags),
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def points(path: Path) -> list[dict]:
    """The lines of a log.jsonl or the points of a curve.json, without their clocks."""
    text = path.read_text()
    found = json.loads(text) if path.suffix == ".json" else map(json.loads, text.splitlines())
    return [{k: v for k, v in point.items() if k != "seconds"} for point in found]


def curve(folder: Path) -> list[dict]:
    """The curve of seed 0."""
    return points(folder / "seed-0" / "model" / "curve.json")


def log(folder: Path, seed: int = 0) -> list[dict]:
    """The log of a trial."""
    return points(folder / f"seed-{seed}" / "log.jsonl")
