"""Build the tokenizers: a text's ids are its UTF-8 bytes, or one for each letter and operation."""

from itertools import permutations
from string import ascii_uppercase

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

MASK_TOKEN = "\0"
PAD_TOKEN = " "

TOKENS_PAD_TOKEN = "[PAD]"
"""In the layout "tokens", whose texts have spaces between operations."""


def make_tokenizer(layout: str | None = None) -> PreTrainedTokenizerFast:
    r"""Build the tokenizer of a layout.

    `tokenizer(question + ":" + tokenizer.mask_token * answer_width)` is a model's input. No token
    is added at either end. A saved one is loaded by AutoTokenizer and needs no code of ours.

    Of bytes, both special tokens are bytes that a text may hold: `decode(ids)` gives every text
    back, while `skip_special_tokens=True` would drop the spaces within a question too. Of the
    layout "tokens", the text is that of the layout "compact", and spaces have no token.

    Args:
      layout: "tokens", or any other for bytes.
    Returns:
      256 tokens, whose ids are the bytes; mask token "\0", id 0; pad token " ", id 32; padding on
      the right. Of "tokens" 731: mask 0, padding 1, separator 2, letters, swaps, `-x`, `+x`.
    Source: the byte-level alphabet of GPT-2, without any merge.

    >>> tokenizer = make_tokenizer()
    >>> tokenizer("NPF:1>2:" + tokenizer.mask_token * 3)["input_ids"]
    [78, 80, 70, 58, 49, 62, 50, 58, 0, 0, 0]
    >>> tokenizer.decode([78, 80, 70, 58, 32])
    'NPF: '
    >>> make_tokenizer("tokens")("NPF:1>2 -3:" + tokenizer.mask_token * 3)["input_ids"]
    [16, 18, 8, 2, 29, 681, 2, 0, 0, 0]
    """
    is_tokens = layout == "tokens"
    if is_tokens:
        tokenizer = Tokenizer(models.WordLevel(_operation_vocabulary(), unk_token=MASK_TOKEN))
        words = Regex(r"[A-Z:]|\d+>\d+|[-+]\d+")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(words, behavior="removed", invert=True)
    else:
        tokenizer = Tokenizer(models.BPE(vocab=_byte_vocabulary(), merges=[]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        mask_token=MASK_TOKEN,
        pad_token=TOKENS_PAD_TOKEN if is_tokens else PAD_TOKEN,
        padding_side="right",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def _operation_vocabulary() -> dict[str, int]:
    """List the tokens of the layout "tokens" with their ids, fixed for ever."""
    positions = range(1, len(ascii_uppercase) + 1)
    operations = [f"{x}>{y}" for x, y in permutations(positions, 2)]
    operations += [f"{sign}{x}" for sign in "-+" for x in positions]
    tokens = [MASK_TOKEN, TOKENS_PAD_TOKEN, ":", *ascii_uppercase, *operations]
    return {token: id for id, token in enumerate(tokens)}


def _byte_vocabulary() -> dict[str, int]:
    """Map what each byte is called inside the tokenizer to its id, the byte itself.

    The byte-level alphabet calls a printable byte by its character and the others, in order, by
    the characters from 256 on.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    printable = {name: ord(name) for name in alphabet if ord(name) < 256}
    others = sorted(set(range(256)) - set(printable.values()))
    vocabulary = printable | dict(zip(alphabet[len(printable) :], others, strict=True))
    # The special tokens are looked for in the text itself. Under the alphabet's names ("Ā", "Ġ")
    # those two letters would be taken for them.
    specials = {MASK_TOKEN: ord(MASK_TOKEN), PAD_TOKEN: ord(PAD_TOKEN)}
    return {name: id for name, id in vocabulary.items() if id not in specials.values()} | specials
