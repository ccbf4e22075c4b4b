"""The tokenizer writes what the data holds: a text's bytes, byte 0 as mask, spaces as padding."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.vsc_dataset.cases import programs
from tests.vsc_models.test_checkpoint import python
from vsc_dataset.encoding import encode
from vsc_models.tokenization_vsc import make_tokenizer

TEXTS = ["NPF:1>2:\0\0\0", "NPF: 1>2, -3: \0\0\0   ", "Ā Ġ\0é\n\t漢  "]

STRANGER = """
import json, sys
from transformers import AutoTokenizer

try:
    import vsc_models
except ModuleNotFoundError:
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    ids = [tokenizer(text)["input_ids"] for text in json.loads(sys.argv[2])]
    print(json.dumps([ids, [tokenizer.decode(row) for row in ids]]))
"""

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


def test_a_saved_tokenizer_comes_back(folder):
    loaded = AutoTokenizer.from_pretrained(folder)
    check_specials(loaded)
    for text in TEXTS:
        assert loaded(text)["input_ids"] == list(text.encode("utf-8"))
        assert loaded.decode(loaded(text)["input_ids"]) == text


def test_a_saved_tokenizer_needs_no_code(folder, tmp_path):
    assert not list(folder.glob("*.py"))
    stranger = python(STRANGER, folder, json.dumps(TEXTS), tmp_path=tmp_path)
    assert stranger.returncode == 0, stranger.stderr
    ids, texts = json.loads(stranger.stdout)
    assert ids == [list(text.encode("utf-8")) for text in TEXTS]
    assert texts == TEXTS
