"""The stream: any number of processes, cut anywhere, gives the same batches."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vsc_dataset import TrainingStream, sample
from vsc_dataset.torch_stream import TorchTrainingStream


def take(stream: TrainingStream, batches: int) -> list[str]:
    """The questions of the next batches."""
    return [question for _ in range(batches) for question in next(stream).questions()]


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_together_see_every_sample_once(world_size):
    expected = sample("default", "train", range(12 * 64), seed=3).questions()
    shards = [
        take(TrainingStream("default", 64, seed=3, rank=rank, world_size=world_size), 12)
        for rank in range(world_size)
    ]
    assert [q for questions in zip(*shards, strict=True) for q in questions] == expected


@pytest.mark.parametrize("cut", [1, 5, 300])
def test_a_stream_cut_and_resumed_goes_on_exactly(cut):
    whole = TrainingStream("swap-nops1-5", 64, seed=1)
    first = TrainingStream("swap-nops1-5", 64, seed=1)
    assert take(first, cut) == take(whole, cut)
    second = TrainingStream("swap-nops1-5", 64, seed=1, start=first.position)
    assert take(second, 3) == take(whole, 3)
    third = TrainingStream("swap-nops1-5", 64, seed=1, start=second.position)
    assert take(third, 300) == take(whole, 300)


def test_seeds_share_no_samples_by_position():
    a, b = (set(take(TrainingStream("swap-nops5", 1000, seed=seed), 1)) for seed in (0, 1))
    assert len(a & b) == 0


def test_batch_size_is_global():
    assert len(next(TrainingStream("default", 64, rank=1, world_size=2))) == 32


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"batch_size": 63, "world_size": 2}, "batch_size 63 cannot be shared evenly by 2"),
        ({"batch_size": 0}, "batch_size is 0: it must be a whole number from 1"),
        ({"batch_size": 64.0}, "batch_size is 64.0: it must be a whole number from 1"),
        ({"batch_size": 64, "pad_to": 5}, "pad_to is 5: it must be from 31"),
        ({"batch_size": 64, "every": 0}, "every is 0"),
        ({"batch_size": 64, "rank": 2, "world_size": 2}, "rank is 2: it must be from 0 to 1"),
        ({"batch_size": 64, "start": -1}, "start is -1"),
        ({"batch_size": 64, "seed": -1}, "seed is -1"),
    ],
)
def test_impossible_stream_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        TrainingStream("default", **settings)


def test_position_counts_the_samples_of_all_ranks_past_a_block():
    stream = TrainingStream("default", 512, rank=1, world_size=2)
    take(stream, 70)
    assert stream.position == 70 * 512
    resumed = TrainingStream("default", 512, start=stream.position, rank=1, world_size=2)
    assert take(resumed, 70) == take(stream, 70)


def test_rows_are_padded_as_asked():
    assert next(TrainingStream("default", 4, pad_to=50)).labels.shape == (4, 50)


def test_a_batch_is_not_changed_by_later_ones():
    stream = TrainingStream("default", 8192)
    batch = next(stream)
    before = batch.labels.copy()
    take(stream, 5)
    np.testing.assert_array_equal(batch.labels, before)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_loader_with_workers_gives_the_batches_of_the_stream_in_order(workers):
    stream = TrainingStream("default", 96, seed=2, start=960, rank=1, world_size=2)
    dataset = TorchTrainingStream("default", 96, seed=2, start=960, rank=1, world_size=2)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    for batch, expected in zip(loader, (next(stream) for _ in range(8)), strict=False):
        assert batch["input_ids"].dtype == batch["labels"].dtype == torch.int64
        for name in ("input_ids", "labels", "answer_mask"):
            np.testing.assert_array_equal(batch[name].numpy(), getattr(expected, name))


def test_a_mistake_in_a_loader_is_told_before_its_workers_start():
    with pytest.raises(ValueError, match="batch_size 63 cannot be shared evenly by 2"):
        TorchTrainingStream("default", 63, world_size=2)


def test_a_start_from_which_the_samples_would_end_is_refused():
    next(TrainingStream("default", 64, start=2**63 - 1))
    with pytest.raises(ValueError, match="start is 9223372036854775808: it must be from 0"):
        TrainingStream("default", 64, start=2**63)


def test_a_loader_says_itself_how_many_workers_it_has():
    with pytest.raises(ValueError, match="every is the number of the loader's workers"):
        TorchTrainingStream("default", 64, every=3)


def test_a_position_that_is_set_is_where_the_next_batch_begins():
    stream = TrainingStream("default", 64)
    next(stream)
    stream.position = 6400
    assert next(stream).questions() == sample("default", "train", range(6400, 6464)).questions()
    assert stream.position == 6464
    with pytest.raises(ValueError, match="position is -1"):
        stream.position = -1
