"""The share of test programs that training has seen."""

from dataclasses import replace

import pytest

from scripts.reporting.seen_programs import programs_seen
from vsc_dataset import parse, sample
from vsc_dataset.configs import make_config


@pytest.mark.parametrize("layout", ["compact", "spaced"])
def test_the_share_of_programs_seen_is_that_of_a_slow_count(layout):
    def program(question):
        return [(op.kind, *sorted((op.x, op.y or 0))) for op in parse(question).operations]

    config = replace(make_config("default"), layout=layout, num_test=200)
    seen = [program(q) for q in sample(config, "train", range(300), seed=3).questions()]
    share = sum(program(q) in seen for q in sample(config, "test", range(200)).questions()) / 2
    assert 20 < share < 90
    assert programs_seen(config, "test", 3, 300) == share
    assert programs_seen(config, "test_programs", 3, 300) == 0
    assert programs_seen(config, "test", 3, 10**8) is None
    first = replace(config, nops=(1, 1))
    seen = [program(q) for q in sample(first, "train", range(300), seed=3).questions()]
    share = sum(program(q) in seen for q in sample(config, "test", range(200)).questions()) / 2
    assert programs_seen(config, "test", 3, 300, [(0, first), (300, config)]) == share
