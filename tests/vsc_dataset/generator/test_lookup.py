"""The words of the tables are as the docstring of `vsc_dataset.generator` draws them."""

from itertools import product

import pytest

from vsc_dataset import CONFIGS, Operation
from vsc_dataset.generator.lookup import make_lookup_tables
from vsc_dataset.splits import canonical


def operations_of(n: int, weights: dict[str, int]) -> list[Operation]:
    """The operations of a situation's digits, in their order."""
    return [
        Operation(kind, x, other + (other >= x) if kind == ">" else 0)
        for kind, weight in weights.items()
        for _, x, other in product(range(weight), range(1, n + 1), range(1, max(2, n)))
    ]


@pytest.mark.parametrize("name", ["default", "level-6"])
def test_words_have_the_fields_that_the_docstring_draws(name):
    spec = CONFIGS[name].sample_spec("train")
    tables = make_lookup_tables(spec, "compact")
    step, mark, token, line = (
        array.tolist() for array in (tables.step, tables.mark, tables.token, tables.line)
    )
    assert (step[0], mark[0], token[0], line[0]) == (1 << 32, 0, 0, 1 << 32)
    following = {(n, 0): int(tables.start[n]) for n in range(spec.length[0], spec.length[1] + 1)}
    seen = set()
    while new := [situation for situation in following if situation not in seen]:
        n, depth = situation = new[0]
        seen.add(situation)
        operations = operations_of(n, spec.kind_weights(n, depth))
        assert following[situation] >> 32 == len(operations)
        for code, operation in enumerate(operations, following[situation] & 0xFFFFFFFF):
            change = {">": 0, "-": -1, "+": 1}[operation.kind]
            assert line[code] >> 32 == 1 << 12 | 1 + change
            assert mark[code] >> 40 == 1 << 12 | (max(operation.x, operation.y) >= 3)
            canonical_token = (mark[code] & 2**40 - 1).to_bytes(5, "little").rstrip(b"\0")
            assert canonical_token == canonical(operation).encode()
            text = f" {operation}"
            assert token[code] >> 56 == 8 * len(text)
            letters = (token[code] & 2**56 - 1).to_bytes(7, "little")[: len(text)]
            assert bytes(byte ^ ord(" ") for byte in letters) == text.encode()
            after = n + change, depth - change
            assert following.setdefault(after, step[code]) == step[code]
            assert after[0] or step[code] == 1 << 32
        seen |= {(0, d) for d in range(27)}  # where nothing is drawn
