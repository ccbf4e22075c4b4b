"""Answer questions with a model, with a confidence per letter: `pipeline("vsc", …)`."""

import re
from collections.abc import Iterable, Sized
from types import GeneratorType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_vsc import OBJECTIVES
from .tokenization_vsc import MASK_TOKEN, make_tokenizer

KNOWN_INPUTS = (str, bytes, dict, list, Dataset, GeneratorType)
"""By these types transformers tells one question, a list and a stream of them apart."""

MODEL_CLASSES: Any = (AutoModelForMaskedLM, AutoModelForCausalLM)

# The three separators of a row: after the letters, between operations, before the answer.
_SEPARATORS = {"compact": (":", " ", ":"), "spaced": (": ", ", ", ": ")}
_SEPARATORS["tokens"] = _SEPARATORS["compact"]  # its tokenizer reads the same text

_OPERATION = re.compile(r"[1-9]\d{0,8}>[1-9]\d{0,8}|[-+][1-9]\d{0,8}", re.ASCII)
_SHOWN = 100
"""Characters of a question in a message."""


class EvaluationFormat(NamedTuple):
    """How the rows of a model are written, as far as it is known: what training used.

    Attributes:
      layout: of its questions, "compact", "spaced" or "tokens".
      answer_width: places of the answer field, one for each byte or token.
      row_width: width of every row, of a model without a padding mask.
      longest_row: width of the longest row that the model can read, where there is a limit.
      objective: "fill", the answer field at once; "next-token", the answer place by place;
        "scratchpad", place by place the state after each operation, then the answer.
    """

    layout: str | None = None
    answer_width: int | None = None
    row_width: int | None = None
    longest_row: int | None = None
    objective: str = "fill"


def read_format(config: Any) -> EvaluationFormat:
    """Read from a model's config how its rows are written.

    Raises:
      ValueError: the config says something that no format has.

    >>> from transformers import GPT2Config
    >>> read_format(GPT2Config(layout="spaced", answer_width=5))[:2]
    ('spaced', 5)
    """
    usual: dict[str, Any] = EvaluationFormat()._asdict()
    trained = EvaluationFormat(**{name: getattr(config, name, usual[name]) for name in usual})
    for name in ("answer_width", "row_width", "longest_row"):
        if not isinstance(value := getattr(trained, name), int | None):
            raise ValueError(f"{name} is {value!r} in the model's config, which is not a number")
    if trained.objective not in OBJECTIVES:
        raise ValueError(
            f"objective is {trained.objective!r} in the model's config: use one of {[*OBJECTIVES]}"
        )
    return trained


class VscPipeline(Pipeline):
    """Answer questions with a model: `pipeline("vsc", model=checkpoint)("NPFKT:5>4 3>1")`.

    The model's config says how its rows are written, see `EvaluationFormat`; a question in the
    other layout is rewritten. Padding is excluded through the attention mask, so a question has
    one answer, alone or in any batch. A model of next tokens decodes greedily.

    `save_pretrained` writes model, tokenizer and code. What it wrote needs
    `trust_remote_code=True`, or, where this package is installed, `pipeline_class=VscPipeline`.

    Args (as keywords of `pipeline("vsc", …)` or of one call; the call's come first):
      answer_width: places of the answer field; needed where the config has none.
      layout: "compact" or "spaced"; where the config has none, a question stays in its own. A
        model of the layout "tokens" reads no other.
      pad_to: width to which every row is padded; needed for a model without a padding mask
        (`mask_padding=False`) whose config has no row_width. Other models do not notice it.
    Raises:
      ValueError: one line, from a call: it is not a question, its row or its answer is
        too long, or one of the two widths is needed and missing.

    >>> from .configuration_vsc import VscDeltaConfig
    >>> from .modeling_delta import VscDeltaForMaskedLM
    >>> answer = VscPipeline(VscDeltaForMaskedLM(VscDeltaConfig(answer_width=3)), device="cpu")
    >>> result = answer("NPF:1>2")
    >>> result["question"], len(result["confidence"])
    ('NPF:1>2', 3)
    >>> answer("NPF:1>2:")
    Traceback (most recent call last):
    ValueError: question 'NPF:1>2:': it ends before the second colon
    """

    # The layout tells the tokenizer: a checkpoint saved without one works too.
    _load_tokenizer = False  # type: ignore[assignment]  # transformers' own is inferred as None
    _load_processor = False  # type: ignore[assignment]
    _load_image_processor = False  # type: ignore[assignment]
    _load_video_processor = False  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        model = args[0] if args else kwargs["model"]
        self.trained = read_format(model.config)
        super().__init__(*args, **{"tokenizer": make_tokenizer(self.trained.layout), **kwargs})
        # What `save_pretrained` writes about the code. transformers notes it at registration; a
        # class that came with a checkpoint was never registered, and is to be saved again too.
        self._registered_impl = {"vsc": {"impl": type(self), "pt": MODEL_CLASSES}}

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer a question, or each of a list of questions.

        Args:
          inputs: the text before the second colon, in either layout; a list, a column or an array
            of such texts; or an iterator or data set of them, which is read as the results are
            taken.
          kwargs: `answer_width`, `layout` and `pad_to`, see the class; `batch_size` (1) and
            `num_workers` (0), as the library has them.
        Returns:
          A dict, or a list or an iterator of dicts:
            question: the text, as it was given.
            answer: what the model wrote into the answer field, without answer padding.
            confidence: answer_width floats, the probability of each byte that it wrote. Answer
              padding counts: a model must know where the answer ends.
        """
        if isinstance(inputs, Iterable) and not isinstance(inputs, KNOWN_INPUTS):
            # A column of a dataset, an array, a tuple: transformers would take it for one question.
            inputs = list(inputs) if isinstance(inputs, Sized) else (one for one in inputs)
        if isinstance(inputs, list) and not inputs:
            return []  # transformers looks at the first one
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(  # type: ignore[override]  # strict: a typing error is a TypeError
        self,
        answer_width: int | None = None,
        pad_to: int | None = None,
        layout: str | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for name, value in (("answer_width", answer_width), ("pad_to", pad_to)):
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name}={value!r}: give a number of tokens, 1 or more")
        settings = {"answer_width": answer_width, "pad_to": pad_to, "layout": layout}
        return {name: value for name, value in settings.items() if value is not None}, {}, {}

    def preprocess(  # type: ignore[override]
        self,
        input_: str,
        answer_width: int | None = None,
        pad_to: int | None = None,
        layout: str | None = None,
    ) -> dict[str, Any]:
        """Lay a question out: input_ids and attention_mask, int64 (1, L), and the question."""
        config, trained = self.model.config, self.trained
        width = answer_width or trained.answer_width
        if width is None:
            raise ValueError("the model's config has no answer_width: give answer_width=")
        if "tokens" in (layout, trained.layout) and layout not in (None, trained.layout):
            raise ValueError(
                f"layout={layout!r} is not what this model was trained in: use {trained.layout!r}"
            )
        fills = trained.objective == "fill"
        if fills and not getattr(config, "mask_padding", True):
            pad_to = pad_to or trained.row_width
            if pad_to is None:
                raise ValueError(
                    "this model has no padding mask (mask_padding=False): "
                    "give pad_to=, the width of the rows that it was trained on"
                )
        row = lay_out(input_, width, layout or trained.layout, trained.objective == "scratchpad")
        tokenizer: Any = self.tokenizer
        row_ids = tokenizer(row)["input_ids"]
        highest = max(*row_ids, tokenizer.pad_token_id)
        vocab_size = getattr(config.get_text_config(), "vocab_size", None)
        if vocab_size is not None and highest >= vocab_size:
            raise ValueError(
                f"question {input_!r}: its row has the token id {highest}, and the model's "
                f"vocab_size is {vocab_size}: it was made for another vocabulary"
            )
        needed = max(len(row_ids), pad_to or 0)
        limits = {
            "pad_to": pad_to,
            "longest_row": trained.longest_row,
            "max_position_embeddings": getattr(config, "max_position_embeddings", None),
        }
        for name, limit in limits.items():
            if limit is not None and needed > limit:
                unit = "tokens" if trained.layout == "tokens" else "bytes"
                raise ValueError(
                    f"question {input_!r}: its row has {needed} {unit} with the answer field, "
                    f"{name} allows {limit}"
                )
        ids = tokenizer(row, padding="max_length", max_length=needed, return_tensors="pt")
        return {**ids, "question": input_, "answer_width": width}

    def _forward(  # type: ignore[override]  # a dict, as most of transformers' own
        self, input_tensors: dict[str, Any], **forward_parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """Compute the logits of the answer field, (B, answer_width, vocab_size)."""
        tokenizer: Any = self.tokenizer
        width = input_tensors["answer_width"]
        width = width if isinstance(width, int) else width[0]
        ids_BxL, mask_BxL = input_tensors["input_ids"], input_tensors["attention_mask"]
        training = self.model.training
        self.model.eval()
        # A question holds no mask, and the answer field is the last of what is masked.
        places_BxL = ids_BxL == tokenizer.mask_token_id
        if self.trained.objective == "fill":
            logits_BxLxV = self.model(input_ids=ids_BxL, attention_mask=mask_BxL).logits
            logits_BxWxV = logits_BxLxV[places_BxL].unflatten(0, (len(ids_BxL), -1))
        else:
            logits_BxWxV = self._decode(ids_BxL, mask_BxL, places_BxL, width)
        self.model.train(training)
        return {"logits": logits_BxWxV, "question": input_tensors["question"]}

    def _decode(
        self, ids_BxL: Tensor, mask_BxL: Tensor, places_BxL: Tensor, answer_width: int
    ) -> Tensor:
        """Write the masked places from left to right, each the likeliest token after those before.

        Rows stay where they are and padding follows them: it is hidden from a causal model that
        knows no attention mask too, which the left padding of `generate` would not be.
        """
        first_B, count_B = places_BxL.int().argmax(1), places_BxL.sum(1)
        row_B, position_L = (torch.arange(n, device=ids_BxL.device) for n in ids_BxL.shape)
        ids_BxL, written = ids_BxL.clone(), []
        for step in range(int(count_B.max())):
            position_B = (first_B + step).clamp(max=ids_BxL.shape[1] - 1)
            end = int(position_B.max())
            seen_BxL = mask_BxL * (position_L < position_B[:, None])
            logits_BxLxV = self.model(
                input_ids=ids_BxL[:, :end], attention_mask=seen_BxL[:, :end]
            ).logits
            written.append(logits_BxLxV[row_B, position_B - 1])
            ids_BxL[row_B, position_B] = written[-1].argmax(-1)
        answer_BxW = count_B[:, None] + torch.arange(-answer_width, 0, device=ids_BxL.device)
        return torch.stack(written, 1)[row_B[:, None], answer_BxW]

    def postprocess(
        self, model_outputs: dict[str, Any], **postprocess_parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the result of one question; see `__call__`."""
        chance_W, id_W = model_outputs["logits"][0].float().softmax(-1).max(-1)
        return {
            "question": model_outputs["question"],
            "answer": self._text(id_W.tolist()).rstrip(" "),
            "confidence": chance_W.tolist(),
        }

    def _text(self, ids: list[int]) -> str:
        """Write an answer field with one character a place, `?` for any other token."""
        tokenizer: Any = self.tokenizer
        if self.trained.layout != "tokens":
            return "".join(chr(id) if id < len(tokenizer) else "?" for id in ids)
        tokens = tokenizer.convert_ids_to_tokens(ids)
        texts = {tokenizer.pad_token: " "}
        return "".join(
            texts.get(token, token if token and len(token) == 1 else "?") for token in tokens
        )


def lay_out(
    question: str, answer_width: int, layout: str | None = None, scratchpad: bool = False
) -> str:
    r"""Write the row of a question, the answer field as mask tokens.

    The package vsc_dataset lays out training rows; a checkpoint must do without it, so this is
    its equal, compared with it by a test.

    Args:
      question: the text before the second colon, in either layout.
      answer_width: places of the answer field.
      layout: "compact", "spaced" or "tokens"; None keeps the question's own.
      scratchpad: the masked places begin with those of the state after each operation and of the
        separator after each state.
    Returns:
      The row without padding.
    Raises:
      ValueError: one line: this is not a question, an operation is impossible, the answer does
        not fit into its field, the layout is unknown, or a scratchpad has no operation.

    >>> lay_out("YNP:3>1 -3", 3, "spaced")
    'YNP: 3>1, -3: \x00\x00\x00'
    """
    if not isinstance(question, str):
        raise ValueError(f"a question is a text such as 'NPFKT:5>4 3>1', not {question!r}")
    try:
        letters, operations, own_layout = _read(question)
        lengths = _state_lengths(letters, operations)
        if lengths[-1] > answer_width:
            raise ValueError(
                f"its answer has {lengths[-1]} letters, the answer field {answer_width}"
            )
        if scratchpad and not operations:
            raise ValueError("no operation, so its scratchpad would be empty")
    except ValueError as error:
        raise ValueError(f"question {question[:_SHOWN]!r}: {error}") from None
    if layout not in (None, *_SEPARATORS):
        raise ValueError(f"layout={layout!r} is unknown: use one of {[*_SEPARATORS]}")
    after_letters, between, before_answer = _SEPARATORS[layout or own_layout]
    prompt = letters + after_letters + between.join(operations) + before_answer
    places = answer_width
    if scratchpad:  # one place between two states
        places += sum(lengths[1:]) + len(operations) - 1 + len(before_answer)
    return prompt + MASK_TOKEN * places


def _read(question: str) -> tuple[str, list[str], str]:
    """Split a question into letters and operations, and tell its layout."""
    letters, colon, rest = question.partition(":")
    if not colon:
        raise ValueError("no colon: letters and operations are separated by ':'")
    if ":" in rest:
        raise ValueError("it ends before the second colon")
    if not re.fullmatch("[A-Z]+", letters) or len(set(letters)) < len(letters):
        raise ValueError("before the colon stand distinct capitals from A to Z, at least one")
    layout = "spaced" if rest.startswith(" ") else "compact"
    after_letters, between, _ = _SEPARATORS[layout]
    body = rest[len(after_letters) - 1 :]
    operations = body.split(between) if body else []
    for number, operation in enumerate(operations, 1):
        if not _OPERATION.fullmatch(operation):
            raise ValueError(
                f"operation {number} {operation[:_SHOWN]!r} is none of x>y, -x, +x "
                f"with positions from 1, separated by {between!r}"
            )
    return letters, operations, layout


def _state_lengths(letters: str, operations: list[str]) -> list[int]:
    """Count the letters before and after each operation; a ValueError names an impossible one."""
    lengths, stack = [len(letters)], 0
    for number, operation in enumerate(operations, 1):
        present = lengths[-1]
        positions = [int(position) for position in re.findall(r"\d+", operation)]
        repeated = len(set(positions)) < len(positions)
        if max(positions) > present or repeated or (operation[0] == "+" and not stack):
            raise ValueError(
                f"operation {number} {operation!r} is impossible: "
                f"{present} letters are present, {stack} on the stack"
            )
        step = {"-": -1, "+": 1}.get(operation[0], 0)
        stack -= step
        lengths.append(present + step)
    return lengths


def register_pipeline() -> None:
    """Make the task "vsc" known to `transformers.pipeline`; again is harmless."""
    registered = PIPELINE_REGISTRY.supported_tasks.get("vsc")
    if registered is None or registered["impl"] is not VscPipeline:
        PIPELINE_REGISTRY.register_pipeline("vsc", VscPipeline, pt_model=MODEL_CLASSES)
