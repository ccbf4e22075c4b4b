"""The stream: any number of processes, cut anywhere, gives the same batches."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate.data_loader import IterableDatasetShard
from datasets import load_dataset
from torch.utils.data import DataLoader

from tests.commands import LIMIT
from vsc_dataset import TrainingStream, sample
from vsc_dataset.torch_stream import Collator, TorchTrainingStream, to_tensors
from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM

# On a machine with fewer processors than workers.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


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
@pytest.mark.parametrize("share", [{}, {"rank": 1, "world_size": 2}])
def test_a_stream_cut_and_resumed_goes_on_exactly(cut, share):
    whole, first = (TrainingStream("swap-nops1-5", 64, seed=1, **share) for _ in range(2))
    assert take(first, cut) == take(whole, cut)
    assert first.position == 64 * cut  # of all ranks
    second = TrainingStream("swap-nops1-5", 64, seed=1, start=first.position, **share)
    assert take(second, 3) == take(whole, 3)
    third = TrainingStream("swap-nops1-5", 64, seed=1, start=second.position, **share)
    assert take(third, 300) == take(whole, 300)


@pytest.mark.parametrize("stream", [TrainingStream, TorchTrainingStream])
@pytest.mark.parametrize(
    "settings, words",
    [
        ({"batch_size": 63, "world_size": 2}, "batch_size 63 cannot be shared evenly by 2"),
        ({"batch_size": 0}, "batch_size is 0: it must be from 1 to"),
        ({"batch_size": 64.0}, "batch_size is 64.0: it must be a whole number"),
        ({"batch_size": 64, "pad_to": 5}, "pad_to is 5: it must be from 31"),
        ({"batch_size": 64, "every": 0}, "every is (0|the number of the loader's workers)"),
        ({"batch_size": 64, "rank": 2, "world_size": 2}, "rank is 2: it must be from 0 to 1"),
        ({"batch_size": 64, "start": -1}, "start is -1"),
        ({"batch_size": 64, "start": 2**63}, "start is 9223372036854775808: it must be from 0"),
        ({"batch_size": 64, "seed": -1}, "seed is -1"),
    ],
)
def test_impossible_stream_is_refused_when_it_is_made(stream, settings, words):
    with pytest.raises(ValueError, match=words):
        stream("default", **settings)


def test_rows_are_padded_to_the_given_width():
    assert next(TrainingStream("default", 4, pad_to=50, targets=True)).targets.shape == (4, 50)


def test_a_batch_is_not_changed_by_later_ones():
    stream = TrainingStream("default", 8192)
    batch = next(stream)
    before = batch.labels.copy()
    take(stream, 5)
    np.testing.assert_array_equal(batch.labels, before)


SETTINGS = {"batch_size": 96, "seed": 2, "start": 960, "rank": 1, "world_size": 2}


def batches(count: int) -> list[dict[str, torch.Tensor]]:
    """The first batches of the stream of SETTINGS."""
    return [to_tensors(b) for b in islice(TrainingStream("default", **SETTINGS), count)]


def assert_equal(found, expected) -> None:
    """The same tensors by name, batch for batch."""
    for batch, other in zip(found, expected, strict=True):
        assert batch.keys() == other.keys()
        assert all(torch.equal(batch[name], other[name]) for name in batch)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_loader_with_workers_gives_the_batches_of_the_stream_in_order(workers):
    dataset = TorchTrainingStream("default", **SETTINGS)
    loader = DataLoader(dataset, None, num_workers=workers, timeout=LIMIT * bool(workers))
    assert_equal(islice(loader, 8), batches(8))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_second_pass_goes_on_where_the_first_ended_and_so_does_a_restored_stream(workers):
    stream = TorchTrainingStream("default", **SETTINGS)
    loader = stream.loader(num_workers=workers, timeout=LIMIT * bool(workers))
    assert_equal([*islice(loader, 3), *islice(loader, 2)], batches(5))
    restored = TorchTrainingStream("default", **SETTINGS)
    restored.load_state_dict(stream.state_dict())
    assert restored.position == 960 + 5 * 96
    assert_equal(islice(restored.loader(num_workers=workers), 2), batches(7)[5:])


def test_a_second_pass_of_workers_that_would_begin_anew_is_refused():
    loader = DataLoader(TorchTrainingStream("default", 64), batch_size=None, num_workers=1)
    next(iter(loader))
    with pytest.raises(ValueError, match=r"begin anew: use stream.loader\(num_workers=1\)"):
        next(iter(loader))


def test_a_worker_that_is_restored_goes_on_with_its_own_batches(monkeypatch):
    """As torchdata's StatefulDataLoader does: the state of each worker's copy, at a batch."""
    copies = [TorchTrainingStream("default", **SETTINGS) for _ in range(4)]
    found = []
    for number, stream in enumerate(copies):
        worker = SimpleNamespace(id=number % 2, num_workers=2)
        monkeypatch.setattr("vsc_dataset.torch_stream.get_worker_info", lambda w=worker: w)
        if number >= 2:
            stream.load_state_dict(copies[number - 2].state_dict())
        found.append(list(islice(stream, 2)))
    order = [found[w + half][i] for half in (0, 2) for i in (0, 1) for w in (0, 1)]
    assert_equal(order, batches(8))


def test_single_samples_are_batched_by_trainer_and_shared_by_its_processes():
    stream = TorchTrainingStream("default", None, seed=2)
    expected = to_tensors(sample("default", "train", 12, seed=2))
    batch = next(iter(DataLoader(stream, batch_size=12)))
    assert_equal([batch], [expected])
    parts = [
        IterableDatasetShard(TorchTrainingStream("default", None, seed=2), 3, False, 2, rank)
        for rank in (0, 1)
    ]
    rows = [row["input_ids"] for part in parts for row in islice(part, 6)]
    assert {tuple(row.tolist()) for row in rows} == set(map(tuple, expected["input_ids"].tolist()))
    with pytest.raises(ValueError, match="leave world_size out"):
        TorchTrainingStream("default", None, world_size=2)


def test_a_batch_can_be_given_to_a_model_as_it_is_and_trains_the_answer_alone():
    torch.manual_seed(0)
    model = VscDeltaForMaskedLM(VscDeltaConfig(answer_width=5))
    batch = next(iter(TorchTrainingStream("default", 8)))
    output = model(**batch)
    answer = batch["labels"] != -100
    assert (answer == (batch["input_ids"] == 0)).all()
    alone = torch.nn.functional.cross_entropy(output.logits[answer], batch["labels"][answer])
    assert torch.allclose(output.loss, alone)


@pytest.mark.parametrize(
    "name, objective",
    [("default-spaced", "fill"), ("track", "next-token"), ("default", "scratchpad")],
)
def test_the_collator_gives_what_the_stream_gives_whatever_padding_is(name, objective):
    samples = sample(name, "train", range(40), scratchpad=objective == "scratchpad")
    expected = next(iter(TorchTrainingStream(name, 40, objective)))
    collated = Collator(name, objective)(list(samples))
    assert_equal([collated], [expected])
    singles = iter(TorchTrainingStream(name, None, objective))
    assert_equal([Collator(name, objective)([next(singles) for _ in range(40)])], [expected])
    field = samples.completion_mask
    assert (collated["labels"].numpy()[field] == samples.labels[field]).all()  # padding counts
    assert (collated["labels"].numpy()[~field] == -100).all()
    inside = np.flip(np.maximum.accumulate(np.flip(field, 1), axis=1), 1)
    assert (collated["attention_mask"].numpy() == inside).all()
    causal = objective != "fill"
    assert (
        collated["input_ids"].numpy() == (samples.labels if causal else samples.input_ids)
    ).all()
    with pytest.raises(ValueError, match="a row has no column 'question'"):
        Collator(name)([{"answer": "A"}])


@pytest.mark.parametrize("kind", [None, "torch"])
@pytest.mark.parametrize("name, objective", [("track", "fill"), ("track", "next-token")])
def test_the_collator_takes_rows_of_load_dataset_with_ids_of_their_own(name, objective, kind):
    rows = load_dataset("vsc", name, split="train", streaming=True).with_format(kind)
    expected = next(iter(TorchTrainingStream(name, 40, objective)))
    assert_equal([Collator(name, objective)(list(rows.take(40)))], [expected])


def test_batches_of_a_stream_are_not_collated_again():
    batches = [next(iter(TorchTrainingStream("swap-nops5", 64)))] * 2
    with pytest.raises(ValueError, match=r"shape \(64, 31\): give the stream batch_size=None"):
        Collator("swap-nops5")(batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_single_samples_are_those_of_batches_and_their_position_can_be_set(workers):
    stream = TorchTrainingStream("default", None)
    loader = DataLoader(stream, batch_size=50, num_workers=workers)
    rows = torch.cat([batch["input_ids"] for batch in islice(loader, 44)])
    expected = to_tensors(sample("default", "train", 2200))["input_ids"]
    assert sorted(rows.tolist()) == sorted(expected.tolist())
    if workers:
        return
    assert stream.position == 2200
    one = iter(stream)
    next(one)
    stream.position = 7
    assert (next(one)["input_ids"] == expected[7]).all()
    assert stream.position == 8


def test_the_hint_of_a_second_pass_with_workers_is_one_that_works():
    stream = TorchTrainingStream("default", None)
    loader = DataLoader(stream, batch_size=4, num_workers=1)
    next(iter(loader))
    with pytest.raises(ValueError, match="make one pass, or a stream with another start"):
        next(iter(loader))


def test_a_loader_says_itself_how_many_workers_it_has():
    with pytest.raises(ValueError, match="every is the number of the loader's workers"):
        TorchTrainingStream("default", 64, every=3)


def test_the_last_samples_can_be_drawn():
    next(TrainingStream("default", 64, start=2**63 - 1))


def test_a_position_that_is_set_is_where_the_next_batch_begins():
    stream = TrainingStream("default", 64)
    next(stream)
    stream.position = 6400
    assert next(stream).questions() == sample("default", "train", range(6400, 6464)).questions()
    assert stream.position == 6464
    with pytest.raises(ValueError, match="position is -1"):
        stream.position = -1
