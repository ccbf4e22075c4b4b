"""One process and three: the same rows, losses, weights and metrics, each question counted once."""

import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from torch.distributed import TCPStore

from scripts.training.distributed import make_accelerator
from tests.commands import fork, join
from tests.scripts.training.ranks import main, trained

COUNT = 3


def run_rank(folder: Path, place: dict[str, str]) -> None:
    """Be one of several processes, and write what it made."""
    AcceleratorState._reset_state(reset_partial_state=True)  # that of the process it was forked of
    os.environ.update(place)
    main(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the processes leave."""
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def ranks(folder) -> tuple[dict, list[dict]]:
    """What one process found, and each of three."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # binds a free port
    together = {
        "ACCELERATE_USE_CPU": "true",
        "WORLD_SIZE": str(COUNT),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    places = [{**together, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(COUNT)]
    with ExitStack() as forks:
        running = [forks.enter_context(fork(run_rank, folder, place)) for place in places]
        main(folder)
        for process in running:
            join(process)
    one, *three = (
        json.loads((folder / f"{name}.json").read_text())
        for name in ["1-0", *(f"{COUNT}-{rank}" for rank in range(COUNT))]
    )
    assert [found["processes"] for found in three] == [COUNT] * COUNT
    return one, three


def test_the_processes_together_see_the_rows_of_one_and_each_once(ranks):
    one, three = ranks
    steps = zip(*(found["trained"]["seen"] for found in three), strict=True)
    assert [question for step in steps for question in step] == one["trained"]["seen"]


def test_losses_and_weights_are_those_of_one_process(ranks):
    one, three = ranks
    assert three[0]["trained"]["losses"] == pytest.approx(one["trained"]["losses"], rel=2e-6)
    for found in three:
        for pair in zip(found["trained"]["weights"], one["trained"]["weights"], strict=True):
            np.testing.assert_allclose(*pair, atol=2e-6)


def test_a_trial_of_three_processes_is_resumed_by_one(ranks, folder, capsys):
    one, _ = ranks
    shutil.rmtree(folder / "trial-of-3" / "checkpoint-00000020")
    (folder / "trial-of-3").rename(folder / "trial-of-1-resumed")
    resumed = trained(make_accelerator(), folder / "trial-of-1-resumed")
    assert "was written by 3 processes" in (told := capsys.readouterr().err)
    assert "goes on with 1 processes of" in told
    assert len(resumed["seen"]) == 24 * 10
    for pair in zip(resumed["weights"], one["trained"]["weights"], strict=True):
        np.testing.assert_allclose(*pair, atol=2e-6)


def test_1001_questions_are_counted_once_each(ranks):
    one, three = ranks
    for found in three:
        assert found["measured"]["rates"] == one["measured"]["rates"]
        assert found["measured"]["predictions"] == one["measured"]["predictions"]
        assert found["measured"]["loss"] == pytest.approx(one["measured"]["loss"], rel=1e-6)
    assert one["measured"]["rates"]["questions"] == 1_001


def test_processes_that_do_not_know_each_other_are_refused(monkeypatch):
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 processes were launched but accelerate sees 1"):
        make_accelerator()
