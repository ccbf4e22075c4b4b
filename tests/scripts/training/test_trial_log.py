"""log.jsonl: cut back to a checkpoint, and a damaged line is named."""

import json

import pytest

from scripts.training.trial_log import append_line, truncate_log

ENTRIES = [{"step": 20, "train_loss": 0.1}, {"step": 40, "train_loss": 1e-7}]


@pytest.fixture
def path(tmp_path):
    for entry in ENTRIES:
        append_line(tmp_path, entry)
    return tmp_path / "log.jsonl"


def test_a_log_is_cut_back_to_the_step_of_a_checkpoint(path):
    with path.open("a") as file:
        file.write('{"step": 60, "train_l')  # as a kill leaves it
    truncate_log(path.parent, 40)
    assert [*map(json.loads, path.read_text().splitlines())] == ENTRIES
    truncate_log(path.parent, 20)
    assert [*map(json.loads, path.read_text().splitlines())] == ENTRIES[:1]


@pytest.mark.parametrize("line", ["\0\0\0", '{"foo": 1}', "[]", "null", '{"step": "x"}', "{"])
def test_a_damaged_line_is_named_and_the_log_stays(path, line):
    text = f"{path.read_text()}{line}\n"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"log\.jsonl, line 3: .*: repair or delete it$"):
        truncate_log(path.parent, 20)
    assert path.read_text() == text
