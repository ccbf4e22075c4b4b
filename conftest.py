"""Settings of all tests: no network, no cache but their own, the same examples in every CI run."""

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

HOME = tempfile.mkdtemp(prefix="vsc-tests-")
# Before any library reads them, and for every process that a test starts.
os.environ.update(HF_HOME=HOME, HF_HUB_OFFLINE="1", MPLCONFIGDIR=HOME)

settings.register_profile("vsc", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("vsc")


@pytest.fixture(scope="session", autouse=True)
def _own_home() -> Iterator[None]:
    """Remove the cache at the end."""
    yield
    shutil.rmtree(HOME, ignore_errors=True)
