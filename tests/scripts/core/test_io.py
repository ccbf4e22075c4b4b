"""A file is replaced whole or not at all; what is damaged is named."""

import pytest

from scripts.core.io import read_json, replace_file


def test_two_that_write_one_file_keep_out_of_each_others_way(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    with replace_file(path) as first:
        first.write_text("first")
        monkeypatch.setattr("os.getpid", lambda: 1)
        with replace_file(path) as second:
            second.write_text("sec")
        assert path.read_text() == "sec"
    assert path.read_text() == "first"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("text", ["", "[]", "null", '{"a": 1', "\0", '{"b": 1}', "\xff"])
def test_a_damaged_json_file_is_named_with_the_hint(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(ValueError, match="delete the folder") as raised:
        read_json(path, ["a"], "delete the folder")
    assert str(raised.value).startswith(f"{path}: ")
