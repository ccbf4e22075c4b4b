"""Fixtures: a dataset and a run to publish, made once; what changes one works on a copy."""

from pathlib import Path

import pytest

from tests.scripts.publishing.made import make_dataset, make_run


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("built") / "vsc")


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "001-swap-delta")
