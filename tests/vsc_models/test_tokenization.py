"""The tokenizer writes what the data holds: a text's bytes, byte 0 as mask, spaces as padding."""

from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.vsc_dataset.cases import programs
from vsc_dataset.encoding import encode
from vsc_dataset.vocabulary import TOKEN_TEXTS
from vsc_models.tokenization_vsc import make_tokenizer

TEXTS = ["NPF:1>2:\0\0\0", "NPF: 1>2, -3: \0\0\0   ", "Ā Ġ\0é\n\t漢  "]

TOKENIZER = make_tokenizer()


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


def test_a_saved_tokenizer_comes_back_without_code(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert (loaded.mask_token, loaded.mask_token_id) == ("\0", 0)
    assert (loaded.pad_token, loaded.pad_token_id, loaded.padding_side) == (" ", 32, "right")
    assert (len(loaded), loaded.num_special_tokens_to_add()) == (256, 0)
    for text in TEXTS:
        assert loaded(text)["input_ids"] == list(text.encode("utf-8"))
        assert loaded.decode(loaded(text)["input_ids"]) == text


def test_the_tokens_are_those_of_the_data():
    tokenizer = make_tokenizer("tokens")
    for number, text in enumerate(TOKEN_TEXTS):
        assert text == " " or tokenizer(text)["input_ids"] == [number]
    assert (len(tokenizer), tokenizer.pad_token_id) == (731, 1)
    row = tokenizer("NPF:12>3 -1:\0\0", padding="max_length", max_length=9)
    assert row["input_ids"] == [16, 18, 8, 2, 306, 679, 2, 0, 0]
