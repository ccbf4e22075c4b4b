"""The tokenizer writes what the data holds: a text's bytes, byte 0 as mask, spaces as padding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.vsc_dataset.cases import programs
from vsc_dataset.encoding import encode
from vsc_models.tokenization_vsc import make_tokenizer

TEXTS = ["NPF:1>2:\0\0\0", "NPF: 1>2, -3: \0\0\0   ", "Ā Ġ\0é\n\t漢  "]

TOKENIZER = make_tokenizer()


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory):
    """A saved tokenizer."""
    folder = tmp_path_factory.mktemp("tokenizer")
    TOKENIZER.save_pretrained(folder)
    return folder


def check_specials(tokenizer):
    assert (tokenizer.mask_token, tokenizer.mask_token_id) == ("\0", 0)
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == (" ", 32)
    assert tokenizer.padding_side == "right"
    assert len(tokenizer) == 256
    assert tokenizer.num_special_tokens_to_add() == 0


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_ids_are_the_bytes_and_decode_gives_the_text_back(text):
    ids = TOKENIZER(text)["input_ids"]
    assert ids == list(text.encode("utf-8"))
    assert TOKENIZER.decode(ids) == text


@given(programs(), st.integers(26, 40), st.integers(0, 9))
def test_a_question_is_written_as_the_data_holds_it(program, answer_width, padding):
    row = program.prompt + TOKENIZER.mask_token * answer_width
    ids, _ = encode(program, len(row), answer_width)
    assert TOKENIZER(row)["input_ids"] == ids.tolist()

    ids, _ = encode(program, len(row) + padding, answer_width)
    padded = TOKENIZER(row, padding="max_length", max_length=len(ids))
    assert dict(padded) == {
        "input_ids": ids.tolist(),
        "attention_mask": [1] * len(row) + [0] * padding,
    }


def test_a_batch_is_filled_up_on_the_right():
    batch = TOKENIZER(["A:\0", "AB:1>2:\0\0"], padding=True, return_tensors="np")
    assert [bytes(row.tolist()) for row in batch["input_ids"]] == [b"A:\0      ", b"AB:1>2:\0\0"]
    assert batch["attention_mask"].sum(axis=1).tolist() == [3, 9]


def test_the_special_tokens_are_mask_0_and_padding_32():
    check_specials(TOKENIZER)


def test_a_saved_tokenizer_comes_back_without_code(folder):
    assert not list(folder.glob("*.py"))
    loaded = AutoTokenizer.from_pretrained(folder)
    check_specials(loaded)
    for text in TEXTS:
        assert loaded(text)["input_ids"] == list(text.encode("utf-8"))
        assert loaded.decode(loaded(text)["input_ids"]) == text


def test_the_tokens_are_fixed_for_ever():
    tokenizer, operations = make_tokenizer("tokens"), {"26>25": 678, "-1": 679, "+26": 730}
    swap = {f"{x}>{y}": 29 + 25 * (x - 1) + y - 1 - (y > x) for x, y in ((1, 2), (2, 1), (3, 26))}
    for text, id in {"\0": 0, ":": 2, "A": 3, "Z": 28, **swap, **operations}.items():
        assert tokenizer(text)["input_ids"] == [id]
    assert (len(tokenizer), tokenizer.pad_token_id) == (731, 1)
    row = tokenizer("NPF:12>3 -1:\0\0", padding="max_length", max_length=9)
    assert row["input_ids"] == [16, 18, 8, 2, 306, 679, 2, 0, 0]
