"""The stream: any number of processes, cut anywhere, gives the same batches."""

import numpy as np
import pytest

from vsc_dataset import TrainingStream, sample


def take(stream: TrainingStream, batches: int) -> list[str]:
    """The questions of the next batches."""
    return [question for _ in range(batches) for question in next(stream).questions()]


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_together_see_every_row_once(world_size):
    expected = sample("default", "train", range(12 * 64), seed=3).questions()
    shards = [
        take(TrainingStream("default", 64, seed=3, rank=rank, world_size=world_size), 12)
        for rank in range(world_size)
    ]
    assert [q for rows in zip(*shards, strict=True) for q in rows] == expected


@pytest.mark.parametrize("cut", [1, 5, 300])
def test_a_stream_cut_and_resumed_goes_on_exactly(cut):
    whole = TrainingStream("swap-nops1-5", 64, seed=1)
    first = TrainingStream("swap-nops1-5", 64, seed=1)
    assert take(first, cut) == take(whole, cut)
    second = TrainingStream("swap-nops1-5", 64, seed=1, start=first.position)
    assert take(second, 3) == take(whole, 3)
    third = TrainingStream("swap-nops1-5", 64, seed=1, start=second.position)
    assert take(third, 300) == take(whole, 300)


def test_seeds_share_no_rows_by_position():
    a, b = (set(take(TrainingStream("swap-nops5", 1000, seed=seed), 1)) for seed in (0, 1))
    assert len(a & b) == 0


def test_batch_size_is_global():
    assert len(next(TrainingStream("default", 64, rank=1, world_size=2))) == 32


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"batch_size": 63, "world_size": 2}, "batch_size 63 cannot be shared evenly by 2"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"batch_size": 64, "rank": 2, "world_size": 2}, "rank 2 must be from 0 to 1"),
        ({"batch_size": 64, "start": -1}, "start -1"),
        ({"batch_size": 64, "seed": -1}, "seed -1"),
    ],
)
def test_impossible_stream_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        TrainingStream("default", **settings)


def test_a_batch_is_not_changed_by_later_ones():
    stream = TrainingStream("default", 8192)
    batch = next(stream)
    before = batch.labels.copy()
    take(stream, 5)
    np.testing.assert_array_equal(batch.labels, before)
