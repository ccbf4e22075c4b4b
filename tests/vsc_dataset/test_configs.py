"""Configurations: what is derived, and one clear line for each setting that cannot work."""

import numpy as np
import pytest

from vsc_dataset import CONFIGS, TaskConfig
from vsc_dataset.configs import make_config
from vsc_dataset.splits import SPLITS


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"length": (0, 5)}, "length is 0: it must be from 1 to 26"),
        ({"length": (5, 2)}, "length is (5, 2): the lowest comes first"),
        ({"length": 27}, "length is 27: it must be from 1 to 26"),
        ({"length": 2.5}, "length is 2.5: it must be a whole number or a (lowest, highest)"),
        ({"length": "25"}, "length is '25': it must be"),
        ({"nops": -1}, "nops is -1: it must be from 0 to 1024"),
        ({"nops": 5000}, "nops is 5000: it must be from 0 to 1024"),
        ({"eval_nops": (3, 2)}, "eval_nops is (3, 2)"),
        ({"operators": "*"}, "operators is '*': use each of '>-+' at most once"),
        ({"operators": ">>"}, "operators is '>>'"),
        ({"operators": ""}, "operators is ''"),
        ({"operators": "+"}, "'+' needs '-'"),
        ({"operators": ">+"}, "'+' needs '-'"),
        ({"operators": ">", "length": 1}, "a swap needs 2 letters"),
        ({"operators": ">", "length": (1, 3)}, "a swap needs 2 letters"),
        ({"weights": (0, 0, 0)}, "the weight of '>' is 0: it must be from 1 to 10"),
        ({"weights": (1, 1)}, "give one whole number for each of '>-+'"),
        ({"weights": (1.0, 1, 1)}, "the weight of '>' is 1.0: it must be a whole number"),
        ({"num_items": 3}, "num_items must be at least the longest length"),
        ({"num_items": 27}, "num_items is 27: it must be from 1 to 26"),
        ({"layout": "loose"}, "layout is 'loose': use one of ['compact', 'spaced', 'tokens']"),
        ({"answer_width": 4}, "answer_width is 4: it must be from 5"),
        ({"num_train": -1}, "num_train is -1: it must be from 0"),
        ({"layout": []}, "layout is []: use one of"),
        ({"grid_nops": 5}, "grid_nops is 5: it must be a list of whole numbers"),
        ({"grid_nops": (5, 5)}, "grid_nops is [5, 5]: give each number once"),
        ({"complete": "no"}, "complete is 'no': it must be True or False"),
        ({"fixed_letters": "yes"}, "fixed_letters is 'yes': it must be True or False"),
        ({"complete": 1.0}, "complete is 1.0: it must be True or False"),
        ({"length": b"\x02\x05"}, "length is b'\\x02\\x05': it must be a whole number or"),
        ({"weights": b"abc"}, "weights is b'abc': give one whole number for each"),
        ({"grid_nops": b"ab"}, "grid_nops is b'ab': it must be a list of whole numbers"),
        ({"name": "swap-nop5"}, "'swap-nop5' is unknown: did you mean 'swap-nops5'"),
        ({"name": "grid-len5", "nops": 7}, "but this is a grid: use grid_nops"),
        ({"name": "grid-len5", "eval_nops": 7}, "but this is a grid: use grid_nops"),
        ({"name": ""}, "configuration '' is unknown: use one of"),
        ({"name": ["default"]}, "configuration ['default'] is unknown: use one of"),
        ({"complete": 2}, "complete is 2: it must be True or False"),
        ({"description": 5}, "description is 5: it must be a text"),
        ({"grid_nops": (1,), "num_test": 0}, "num_test is 0: it must be from 1"),
        ({"lenght": 3}, "configuration field 'lenght' is unknown: did you mean 'length'?"),
    ],
)
def test_impossible_setting_is_refused_with_value_and_limit(settings, words):
    with pytest.raises(ValueError) as error:
        make_config(**settings)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_number_means_a_range_of_one():
    assert TaskConfig(length=5, nops=2) == TaskConfig(length=(5, 5), nops=(2, 2))
    assert TaskConfig(length=[2, 8]) == TaskConfig(length=(2, 8))


def test_order_of_operators_and_common_divisors_of_weights_make_no_difference():
    assert TaskConfig(operators="+->", weights=(2, 2, 6)) == TaskConfig(operators=">-+")


def test_what_follows_from_a_changed_field_follows_it():
    config = make_config("default", length=(2, 8), nops=(1, 10), operators="->")
    assert (config.answer_width, config.eval_nops, config.weights) == (8, (1, 10), (3, 1))


def test_a_keyword_wins_over_the_named_configuration():
    assert make_config("swap-nops5", nops=3).nops == (3, 3)
    assert make_config("swap-nops5", operators=">-").operators == ">-"


def test_description_is_no_part_of_the_identity():
    assert TaskConfig(description="a") == TaskConfig(description="b")


def test_a_grid_of_complete_programs_leaves_out_what_is_rarely_reached():
    config = TaskConfig(length=3, grid_nops=(100, 128, 200), complete=True)
    spec = config.sample_spec("nops100")
    assert spec.complete_share(128) > 1e-3 > spec.complete_share(160)
    assert config.splits == ("nops100", "nops128")
    near = [n for n in range(100, 200) if spec.complete_share(n) >= 1e-3]
    assert TaskConfig(length=3, grid_nops=tuple(range(100, 200)), complete=True).splits == tuple(
        f"nops{n}" for n in near
    )


@pytest.mark.parametrize("operators, length", [(">-+", (1, 5)), ("-", (2, 5)), (">-", (1, 26))])
def test_complete_programs_that_a_length_cannot_have_are_refused(operators, length):
    words = rf"of {length[0]} to {length[1]} letters too few programs execute 5 operations"
    with pytest.raises(ValueError, match=words):
        TaskConfig(length=length, operators=operators, complete=True)
    assert TaskConfig(length=5, operators=operators, complete=True).splits == SPLITS


def test_a_grid_has_the_numbers_that_each_of_its_lengths_can_execute():
    config = TaskConfig(length=(1, 5), operators="-", grid_nops=(1, 2, 5), complete=True)
    assert config.splits == ("nops1",)


def test_a_configuration_is_frozen():
    with pytest.raises(AttributeError):
        CONFIGS["default"].num_items = 3


@pytest.mark.parametrize(
    "config, longest",
    [
        (TaskConfig(length=5, nops=5, operators=">"), "ABCDE:5>4 5>4 5>4 5>4 5>4:ABCDE"),
        (TaskConfig(length=2, nops=1, eval_nops=3, operators=">"), "AB:2>1 2>1 2>1:AB"),
        (TaskConfig(length=3, nops=9, operators="-"), "ABC:-3 -2 -1:ABC"),
        (TaskConfig(length=12, nops=2, operators=">"), "ABCDEFGHIJKL:12>11 12>11:ABCDEFGHIJKL"),
        (TaskConfig(length=10, nops=3, operators="-+"), "ABCDEFGHIJ:-10 +9 -10:ABCDEFGHIJ"),
        (TaskConfig(length=2, nops=0, layout="spaced"), "AB: : AB"),
        (TaskConfig(length=2, nops=2, layout="spaced"), "AB: 2>1, 2>1: AB"),
        (TaskConfig(length=5, nops=5, operators=">", layout="tokens"), "ABCDE:12345:ABCDE"),
        (TaskConfig(length=3, nops=9, operators="-", layout="tokens"), "ABC:123:ABC"),
    ],
)
def test_row_width_is_that_of_the_longest_possible_row(config, longest):
    assert config.row_width == len(longest)


def test_a_setting_may_repeat_what_a_grid_has_and_be_of_numpy():
    assert make_config("grid-len5", nops=make_config("grid-len5").nops).grid_nops
    assert TaskConfig(complete=np.True_).complete is True
