"""Sampling: the fast path against the reference, byte for byte, and the purity of a sample."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands import ROOT, run_python
from tests.vsc_dataset.cases import configs
from tests.vsc_dataset.golden import GOLDEN, combined, digest, first_samples
from vsc_dataset import (
    CONFIGS,
    DATA_VERSION,
    Operation,
    Program,
    Samples,
    TaskConfig,
    execute,
    parse,
    sample,
    sampling,
    split_of,
)
from vsc_dataset.configs import make_config
from vsc_dataset.encoding import encode
from vsc_dataset.generator import draw, reference
from vsc_dataset.language import LAYOUTS
from vsc_dataset.vocabulary import TOKEN_TEXTS

FIELDS = ("input_ids", "labels", "answer_mask", "length", "nops", "targets")


def assert_same(a: Samples, b: Samples) -> None:
    """The same arrays, of the same types, and the same layout."""
    assert a.layout == b.layout
    for field in FIELDS:
        x, y = getattr(a, field), getattr(b, field)
        if x is not y:
            assert x.dtype == y.dtype, field
            np.testing.assert_array_equal(x, y, err_msg=field)


@pytest.mark.parametrize("place, value", GOLDEN["rows"].items())
def test_samples_never_change_and_are_of_their_split(place, value):
    name, split = place.split()
    samples = first_samples(name, split)
    assert digest(samples) == value
    splits = {split_of(question) for question in samples.questions()}
    assert splits == {"test" if CONFIGS[name].grid_nops else split}


def test_every_configuration_and_split_has_golden_samples_under_the_version():
    places = {f"{name} {split}" for name, config in CONFIGS.items() for split in config.splits}
    assert set(GOLDEN["rows"]) == places
    assert GOLDEN["versions"][DATA_VERSION] == combined(GOLDEN["rows"]), "raise DATA_VERSION"


@pytest.mark.parametrize("name", CONFIGS)
def test_fast_path_agrees_with_reference_on_named_configurations(name):
    config = CONFIGS[name]
    for split in config.splits:
        spec = config.sample_spec(split)
        if spec.nops[1] > 64 or (spec.complete and spec.complete_share(spec.nops[1]) < 0.2):
            continue  # the reference would take minutes for what other splits show as well
        indices = range(3 if config.grid_nops else 150)
        assert_same(
            sample(name, split, indices, seed=7), reference.sample(config, split, indices, seed=7)
        )


@given(configs(), st.integers(0, 2**40) | st.integers(2**62, 2**64 - 20), st.integers(0, 2**32))
@settings(max_examples=30)
def test_fast_path_agrees_with_reference_on_any_configuration(config, start, seed):
    for split in config.splits:
        indices = range(start, start + 10)
        expected = reference.sample(config, split, indices, seed, targets=True)
        samples = sample(config, split, indices, seed, targets=True)
        assert_same(samples, expected)
        assert samples.questions() == expected.questions()
        if min(config.nops[0], config.eval_nops[0]):
            pads = sample(config, split, indices, seed, scratchpad=True)
            assert_same(pads, reference.sample(config, split, indices, seed, scratchpad=True))
            assert pads.questions() == expected.questions()
            assert pads.answers() == expected.answers()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fast_path_agrees_with_reference_on_programs_of_every_size(layout):
    config = TaskConfig(length=(1, 26), nops=(0, 64), layout=layout)
    samples = sample(config, "train", range(2_000), targets=True)
    assert_same(samples, reference.sample(config, "train", range(2_000), targets=True))
    assert set(samples.length) == set(range(1, 27))
    assert set(samples.nops) == set(range(65))


@pytest.mark.parametrize("name", ["default", "default-spaced", "track", "level-6"])
def test_a_scratchpad_has_the_state_after_each_operation(name):
    samples = sample(name, "test", 50, scratchpad=True)
    texts = np.array([text[0] for text in TOKEN_TEXTS])
    for row, mask, question in zip(
        samples.labels, samples.completion_mask, samples.questions(), strict=True
    ):
        program = parse(question, samples.layout)
        before_answer = program.prompt[len(str(program)) :]
        ids = row[mask]
        written = "".join(texts[ids]) if samples.layout == "tokens" else bytes(ids).decode()
        answer = program.answer.ljust(samples.answer_width)
        assert written == " ".join(program.trace) + before_answer + answer
    plain = sample(name, "test", 50).with_scratchpads()
    assert plain.questions() == samples.questions()
    assert plain.labels[plain.completion_mask].tolist() == (
        samples.labels[samples.completion_mask].tolist()
    )
    assert samples.with_scratchpads() is samples


def test_a_scratchpad_without_an_operation_is_refused():
    with pytest.raises(ValueError, match="but nops begins at 0: without operation no trace"):
        sample("copy", "test", 1, scratchpad=True)
    with pytest.raises(ValueError, match=": no operation, so its scratchpad would be empty"):
        sample("copy", "test", 1).with_scratchpads()
    with pytest.raises(ValueError, match="targets and scratchpad are both True"):
        sample("default", "test", 1, targets=True, scratchpad=True)


@pytest.mark.parametrize("name", ["default", "level-6", "grid-all-len3"])
def test_a_program_is_the_same_in_every_layout(name):
    for split in CONFIGS[name].splits[:5]:
        rows = [list(sample(make_config(name, layout=layout), split, 200)) for layout in LAYOUTS]
        for compact, spaced, tokens in zip(*rows, strict=True):
            assert compact == tokens
            assert parse(compact["question"]).operations == parse(spaced["question"]).operations
            assert compact == {**spaced, "question": compact["question"]}


def test_tokens_are_the_731_that_are_fixed_for_ever():
    assert sample("track", "test", 0).vocab_size == len(TOKEN_TEXTS) == 731
    tokens = [TOKEN_TEXTS[i] for i in (3, 28, 29, 30, 53, 54, 678, 679, 704, 705, 730)]
    assert tokens == ["A", "Z", "1>2", "1>3", "1>26", "2>1", "26>25", "-1", "-26", "+1", "+26"]
    row = sample("track", "test", [1])
    assert row.questions() == ["ABCDE:2>3 3>4 3>1 2>5 4>1"]
    answer = [ord(letter) - 62 for letter in row.answers()[0]]
    swaps = [
        29 + 25 * (x - 1) + y - 1 - (y > x) for x, y in ((2, 3), (3, 4), (3, 1), (2, 5), (4, 1))
    ]
    assert row.labels.tolist() == [[3, 4, 5, 6, 7, 2, *swaps, 2, *answer]]
    program = Program("ZA", (Operation("-", 2), Operation("+", 1)), "tokens")
    assert encode(program, 10, 3)[0].tolist() == [28, 3, 2, 680, 705, 2, 0, 0, 0, 1]
    assert encode(program, 10, 3)[1].tolist() == [28, 3, 2, 680, 705, 2, 3, 28, 1, 1]


def test_fixed_letters_are_the_first_capitals_in_order():
    config = TaskConfig(length=(3, 8), nops=10, fixed_letters=True)
    for row in sample(config, "train", 500):
        assert row["question"].startswith("ABCDEFGH"[: row["length"]] + ":")
    plain = TaskConfig(length=(3, 8), nops=10)
    assert config.sample_spec("test").key() != plain.sample_spec("test").key()


def test_answers_are_what_the_language_says():
    samples = sample("default-spaced", "train", range(2000))
    assert samples.answers() == [execute(question) for question in samples.questions()]


@given(st.lists(st.integers(0, 10**6), max_size=30))
@settings(max_examples=25)
def test_a_sample_depends_on_its_index_alone(indices):
    alone = [sample("default", "test", [i]).questions()[0] for i in indices]
    assert sample("default", "test", indices).questions() == alone


def test_block_size_does_not_matter(monkeypatch):
    expected = sample("default", "validation", range(3000))
    for block, cached, spare in ((1, 1, 1), (7, 3, 5), (1000, 1000, 64), (1000, 64, 10**6)):
        monkeypatch.setattr(sampling, "BLOCK", block)
        monkeypatch.setattr(sampling, "CACHED_SAMPLES", cached)
        monkeypatch.setattr(draw, "CACHED_SAMPLES", cached)
        monkeypatch.setattr(draw, "SPARE_SAMPLES", spare)
        count = 3000 if block > 7 else 100
        assert_same(sample("default", "validation", range(count)), expected[:count])


def test_threads_do_not_disturb_each_other():
    expected = sample("default", "train", range(20_000)).questions()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: sample("default", "train", range(20_000)), range(8)))
    assert all(result.questions() == expected for result in results)


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_samples_are_the_same_in_another_process(hash_seed):
    indices = [i * 999_999_937 % 10**12 for i in range(50)][::-1]
    code = (
        "from vsc_dataset import sample\n"
        f"print(sample('default', 'train', {indices}, seed=5).questions())"
    )
    output = run_python("-c", code, cwd=ROOT, PYTHONHASHSEED=hash_seed)
    assert output.stdout.strip() == str(sample("default", "train", indices, seed=5).questions())


def test_padding_goes_on_the_right_and_changes_nothing_else():
    plain, wide = (sample("default", "test", range(100), pad_to=width) for width in (None, 50))
    assert wide.labels.shape == (100, 50)
    assert (wide.labels[:, 31:] == 32).all()
    np.testing.assert_array_equal(wide.input_ids[:, :31], plain.input_ids)
    assert wide.questions() == plain.questions()
    assert wide.answer_mask.sum() == plain.answer_mask.sum() == 500
    with pytest.raises(ValueError, match="pad_to is 30: it must be from 31"):
        sample("default", "test", [0], pad_to=30)
    with pytest.raises(ValueError, match="a row needs up to 71707 ids, 65536 is the limit: lower"):
        sample(TaskConfig(length=26, nops=1024, answer_width=2**16), "test", [0])


def test_a_wider_answer_field_is_padded_and_masked():
    config = TaskConfig(length=3, nops=3, answer_width=6)
    samples = sample(config, "train", range(200))
    assert (samples.answer_mask.sum(axis=1) == 6).all()
    assert ((samples.input_ids == 0) == samples.answer_mask).all()
    np.testing.assert_array_equal(
        samples.input_ids[~samples.answer_mask], samples.labels[~samples.answer_mask]
    )


@pytest.mark.parametrize(
    "indices, words",
    [
        ([-1], "index -1 is negative"),
        ([0.5], "index is 0.5: it must be a whole number"),
        ([[1]], "dimension"),
        (["a"], "index is 'a': it must be a whole number"),
        ([True], "index is True: it must be a whole number"),
        (None, "indices is None: give whole numbers, or how many from 0 on"),
        ("12", "indices is '12': give whole numbers"),
        (-3, "the number of samples is -3: it must be a whole number from 0"),
    ],
)
def test_bad_indices_and_seeds_are_refused(indices, words):
    with pytest.raises(ValueError, match=words):
        sample("default", "train", indices)
    for seed in (-1, 1.5, True, "1"):
        with pytest.raises(ValueError, match="it must be a whole number from 0"):
            sample("default", "train", [0], seed=seed)


def test_numbers_may_be_those_of_numpy():
    config = TaskConfig(
        length=np.int64(4), num_items=np.int32(9), num_test=np.uint8(3),
        weights=[np.int64(2), np.int64(1), np.int64(1)],
    )  # fmt: skip
    assert config == TaskConfig(length=4, num_items=9, num_test=3, weights=(2, 1, 1))
    numbers = (*config.length, *config.weights, config.num_items, config.num_test)
    assert {type(n) for n in numbers} == {int}
    ours, theirs = (sample(config, "train", range(9), seed=s) for s in (3, np.int64(3)))
    np.testing.assert_array_equal(ours.labels, theirs.labels)


def test_samples_are_iterated_and_a_number_of_them_is_chosen():
    samples = sample("default", "test", 20)
    assert samples.questions() == sample("default", "test", range(20)).questions()
    row = list(samples)[7]
    assert row == {
        "question": samples.questions()[7], "answer": samples.answers()[7],
        "length": samples.length[7], "nops": samples.nops[7],
    }  # fmt: skip


def test_a_slice_is_what_it_was_and_one_sample_is_a_slice():
    examples = sample("default-spaced", "train", range(20))
    assert examples[5:9].questions() == examples.questions()[5:9]
    assert examples[5:9].layout == "spaced"
    with pytest.raises(TypeError, match=r"samples\[1\] has no rows: write samples\[1:2\]"):
        examples[1]
    with pytest.raises(TypeError, match=r"write samples\[-1:\]"):
        examples[-1]


def test_no_indices_give_no_samples():
    samples = sample("default", "train", [])
    assert len(samples) == 0
    assert samples.questions() == samples.answers() == []


@pytest.mark.parametrize(
    "indices", [[np.uint64(4), 1], [np.int32(3), np.uint64(4)], [2**63, 1], [2**64 - 1, 0]]
)
def test_whole_numbers_of_several_types_are_whole_numbers(indices):
    whole = np.array([int(index) for index in indices], np.uint64)
    expected = sample("default", "train", whole).questions()
    assert sample("default", "train", indices).questions() == expected


def test_complete_programs_execute_all_that_was_planned_in_every_split():
    config = TaskConfig(length=(3, 5), nops=8, operators="-+", complete=True)
    assert len(config.splits) == 4
    for split in config.splits:
        samples = sample(config, split, range(200))
        assert set(samples.nops) == {8}
        assert_same(samples[:20], reference.sample(config, split, range(20)))
    for split in CONFIGS["grid-all-len5"].splits:
        nops = sample("grid-all-len5", split, range(50)).nops
        assert set(nops) == {int(split.removeprefix("nops"))}


def test_wide_rows_take_no_more_memory_than_their_bytes():
    tracemalloc.start()
    try:
        sample("default", "train", [1], pad_to=2**15)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()
