"""Splits: a golden table, and that layout and orientation make no difference."""

import pytest
from hypothesis import given

from tests.vsc_dataset.cases import programs
from tests.vsc_dataset.golden import GOLDEN
from vsc_dataset import CONFIGS, Operation, Program, TaskConfig, parse, sample, split_of
from vsc_dataset.generator import reference


@pytest.mark.parametrize("question, split", GOLDEN["splits"].items())
def test_split_of_a_question_never_changes(question, split):
    assert split_of(question) == split


def _reversed(operation: Operation) -> Operation:
    kind, x, y = operation
    return Operation(kind, y, x) if kind == ">" else operation


@given(programs())
def test_layout_and_orientation_do_not_change_the_split(program):
    expected = split_of(str(program))
    for layout in ("compact", "spaced"):
        turned = Program(program.letters, tuple(map(_reversed, program.operations)), layout)
        assert split_of(str(turned)) == expected


@pytest.mark.parametrize("x, y", [(1, 3), (3, 1), (1, 2)])
def test_either_position_of_a_swap_can_make_a_program_one_that_is_held_out(x, y):
    """1,000 programs that name position 3 only as x, only as y, or not at all."""
    swaps = [(Operation(">", x, y),) + (Operation(">", 1, 2),) * k for k in range(2, 60)]
    program_splits = {split_of(str(Program("ABC", operations))) for operations in swaps}
    assert ("test_programs" in program_splits) == (3 in (x, y))


@given(programs())
def test_held_out_is_a_property_of_the_program_alone(program):
    other = Program(program.letters[::-1], program.operations)
    assert (split_of(str(program)) == "test_programs") == (split_of(str(other)) == "test_programs")


def canonical(question: str) -> str:
    """A question without layout and orientation, by the README's words, to compare with."""
    letters, _, rest = question.partition(":")
    tokens = rest.replace(",", " ").split()
    return (
        letters
        + ":"
        + " ".join(
            ">".join(sorted(token.split(">"), key=int)) if ">" in token else token
            for token in tokens
        )
    )


LEARNED = [name for name, config in CONFIGS.items() if not config.grid_nops]


def held_out_questions(count: int) -> set[str]:
    """Canonical questions of the held-out splits of all configurations."""
    return {
        canonical(question)
        for name, config in CONFIGS.items()
        for split in config.splits
        if split != "train" and config.sample_spec(split).nops[1] <= 64
        for question in sample(name, split, range(100 if config.grid_nops else count)).questions()
    }


def test_training_and_held_out_samples_are_disjoint():
    """All pairs of training and held-out splits: 3,000 samples against the first 1,000."""
    held_out = held_out_questions(1_000)
    for name in LEARNED:
        for seed in range(3):
            train = sample(name, "train", range(1_000), seed=seed).questions()
            assert not held_out.intersection(map(canonical, train)), (name, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ten_million_training_samples_and_held_out_ones_are_disjoint(seed):
    held_out = held_out_questions(10_000)
    for name in LEARNED:
        for start in range(0, 10_000_000 // len(LEARNED) // 3, 50_000):
            train = sample(name, "train", range(start, start + 50_000), seed=seed)
            assert not held_out.intersection(map(canonical, train.questions())), name


def test_no_held_out_program_is_in_training():
    for name in LEARNED:
        questions = sample(name, "train", range(500), seed=1).questions()
        assert "test_programs" not in {split_of(question) for question in questions}


def test_these_tests_take_a_question_for_the_same_however_it_is_written():
    first, second = sample("swap-nops5", "test", range(2)).questions()
    program = parse(first)
    planted = Program(program.letters, tuple(map(_reversed, program.operations)), "spaced")
    assert canonical(str(planted)) == canonical(first) != canonical(second)


def test_test_programs_come_from_the_part_of_the_ranges_where_they_exist():
    samples = sample("default", "test_programs", range(2000))
    assert set(samples.length) == {3, 4, 5}
    assert set(samples.nops) == {3, 4, 5}
    assert CONFIGS["swap-nops2"].splits == ("train", "validation", "test")


def test_a_split_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="split 'dev' does not exist here: use one of"):
        sample("default", "dev", [0])
    with pytest.raises(ValueError, match="split 'test_programs' does not exist here"):
        sample("swap-nops2", "test_programs", [0])


def test_a_sample_that_no_question_fits_is_refused_with_its_numbers():
    tiny = TaskConfig(length=1, nops=0, num_items=1)
    only = split_of("A:")
    for split in tiny.splits:
        if split == only:
            assert sample(tiny, split, range(3)).questions() == ["A:"] * 3
            continue
        for twin in (sample, reference.sample):
            with pytest.raises(ValueError, match="no question of length 1 and nops 0") as error:
                twin(tiny, split, [0])
            assert f"split {split!r} in 4096 attempts" in str(error.value)
