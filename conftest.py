"""Settings of all tests: no network, no cache but their own, the same examples in every CI run."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings
from tqdm import tqdm

HOME = tempfile.mkdtemp(prefix="vsc-tests-")
# Before any library reads them, and for every process that a test starts.
os.environ.update(HF_HOME=HOME, HF_HUB_OFFLINE="1", MPLCONFIGDIR=HOME, no_proxy="127.0.0.1")
# A fork that uses the threads of the process that it was forked of waits for them for ever.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# tqdm's lock is shared with forks: of one that is killed while it draws a bar, it is never freed.
tqdm.set_lock(threading.RLock())
tqdm.monitor_interval = 0  # no thread that may hold the lock when a process is forked

settings.register_profile("vsc", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("vsc")


@pytest.fixture(scope="session", autouse=True)
def _own_home() -> Iterator[None]:
    """Remove the cache at the end."""
    yield
    shutil.rmtree(HOME, ignore_errors=True)
