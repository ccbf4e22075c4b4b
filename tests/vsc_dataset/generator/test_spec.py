"""The key of a split's samples: golden values, and what enters it."""

import pytest

from tests.vsc_dataset.golden import GOLDEN
from vsc_dataset import CONFIGS


@pytest.mark.parametrize("place, value", GOLDEN["keys"].items())
def test_keys_never_change(place, value):
    name, split, seed = place.split()
    assert CONFIGS[name].sample_spec(split).key(int(seed)) == int(value, 16)


def test_seed_enters_the_training_key_alone():
    config = CONFIGS["default"]
    assert config.sample_spec("train").key(0) != config.sample_spec("train").key(1)
    for split in config.splits[1:]:
        assert config.sample_spec(split).key(0) == config.sample_spec(split).key(1)
