"""Questions and a model -> its answers, with a confidence per letter: `pipeline("vsc", …)`."""

import re
from collections.abc import Iterable, Sized
from types import GeneratorType
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoModelForMaskedLM, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from .tokenization_vsc import MASK_TOKEN, make_tokenizer

KNOWN_INPUTS = (str, bytes, dict, list, Dataset, GeneratorType)
"""What transformers tells one question, a list and a stream of them by."""

# The three separators of a row: behind the letters, between operations, before the answer.
_SEPARATORS = {"compact": (":", " ", ":"), "spaced": (": ", ", ", ": ")}

_OPERATION = re.compile(r"[1-9]\d*>[1-9]\d*|[-+][1-9]\d*", re.ASCII)


class VscPipeline(Pipeline):
    """Asks a VSC model questions: `pipeline("vsc", model=checkpoint)("NPFKT:5>4 3>1")`.

    The model's config says how it is asked: `layout` (a question in the other one is rewritten)
    and `answer_width`. Padding is excluded through the attention mask, so a question has one
    answer, alone or in any batch.

    `save_pretrained` writes model, tokenizer and code. What it wrote asks for
    `trust_remote_code=True`, or, where this package is installed, `pipeline_class=VscPipeline`.

    Args (as keywords of `pipeline("vsc", …)` or of one call; the call's come first):
      answer_width: bytes of the answer field; needed where the config has none.
      pad_to: bytes to which every row is filled up; needed for a model that sees its padding
        (`mask_padding=False`), which was trained on rows of one width. Other models do not
        notice it.
    Raises:
      ValueError: one line, from a call: the question is no question, its row or its answer is
        too long, or one of the two widths is needed and missing.

    >>> from .configuration_vsc import VscDeltaConfig
    >>> from .modeling_delta import VscDeltaForMaskedLM
    >>> ask = VscPipeline(VscDeltaForMaskedLM(VscDeltaConfig(answer_width=3)), device="cpu")
    >>> result = ask("NPF:1>2")
    >>> result["question"], len(result["confidence"])
    ('NPF:1>2', 3)
    >>> ask("NPF:1>2:")
    Traceback (most recent call last):
    ValueError: question 'NPF:1>2:': it ends before the second colon
    """

    # The tokenizer is always the same: a checkpoint saved without one works too.
    _load_tokenizer = False  # type: ignore[assignment]  # transformers' own is inferred as None
    _load_processor = False  # type: ignore[assignment]
    _load_image_processor = False  # type: ignore[assignment]
    _load_video_processor = False  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"tokenizer": make_tokenizer(), **kwargs})
        # What `save_pretrained` writes about the code. transformers notes it at registration; a
        # class that came with a checkpoint was never registered, and is to be saved again too.
        self._registered_impl = {"vsc": {"impl": type(self), "pt": (AutoModelForMaskedLM,)}}

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer a question, or each of a list of questions.

        Args:
          inputs: the text before the second colon, in either layout; a list, a column or an array
            of such texts; or an iterator or data set of them, which is read as the results are
            taken.
          kwargs: `answer_width` and `pad_to`, see the class; `batch_size` (1) and `num_workers`
            (0), as the library has them.
        Returns:
          A dict, or a list or an iterator of dicts:
            question: the text, as it was given.
            answer: what the model wrote into the answer field, without filling.
            confidence: answer_width floats, the probability of each byte that it wrote. The
              filling counts: a model must know where the answer ends.
        """
        if isinstance(inputs, Iterable) and not isinstance(inputs, KNOWN_INPUTS):
            # A column of a dataset, an array, a tuple: transformers would take it for one question.
            inputs = list(inputs) if isinstance(inputs, Sized) else (one for one in inputs)
        if isinstance(inputs, list) and not inputs:
            return []  # transformers looks at the first one
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(  # type: ignore[override]  # strict: a typing error is a TypeError
        self, answer_width: int | None = None, pad_to: int | None = None
    ) -> tuple[dict[str, int], dict[str, Any], dict[str, Any]]:
        given = {"answer_width": answer_width, "pad_to": pad_to}
        for name, value in given.items():
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name}={value!r}: give a number of bytes, 1 or more")
        return {name: value for name, value in given.items() if value is not None}, {}, {}

    def preprocess(  # type: ignore[override]
        self, input_: str, answer_width: int | None = None, pad_to: int | None = None
    ) -> dict[str, Any]:
        """Lay a question out: input_ids and attention_mask, int64 (1, L), and the question."""
        config = self.model.config
        width = answer_width or getattr(config, "answer_width", None)
        if width is None:
            raise ValueError("the model's config has no answer_width: give answer_width=")
        if pad_to is None and not getattr(config, "mask_padding", True):
            raise ValueError(
                "this model sees its padding (mask_padding=False): "
                "give pad_to=, the width of the rows that it was trained on"
            )
        row = lay_out(input_, width, getattr(config, "layout", "compact"))
        needed = max(len(row), pad_to or 0)
        limits = {
            "pad_to": pad_to,
            "max_position_embeddings": getattr(config, "max_position_embeddings", None),
        }
        for name, limit in limits.items():
            if limit is not None and needed > limit:
                raise ValueError(
                    f"question {input_!r}: its row has {needed} bytes with the answer field, "
                    f"{name} allows {limit}"
                )
        tokenizer: Any = self.tokenizer
        ids = tokenizer(row, padding="max_length", max_length=needed, return_tensors="pt")
        return {**ids, "question": input_}

    def _forward(  # type: ignore[override]  # a dict, as most of transformers' own
        self, input_tensors: dict[str, Any], **forward_parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """Logits in the answer field, (B, answer_width, vocab_size), and the questions."""
        ids_BxL: Tensor = input_tensors["input_ids"]
        training = self.model.training
        self.model.eval()
        outputs = self.model(input_ids=ids_BxL, attention_mask=input_tensors["attention_mask"])
        self.model.train(training)
        # A question holds no mask byte, and all rows of a batch have an answer field of one width.
        asked_BxL = ids_BxL == ord(MASK_TOKEN)
        logits_BxWxV = outputs.logits[asked_BxL].unflatten(0, (len(ids_BxL), -1))
        return {"logits": logits_BxWxV, "question": input_tensors["question"]}

    def postprocess(
        self, model_outputs: dict[str, Any], **postprocess_parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """The result of one question; see `__call__`."""
        chance_W, byte_W = model_outputs["logits"][0].float().softmax(-1).max(-1)
        return {
            "question": model_outputs["question"],
            "answer": bytes(byte_W.tolist()).decode("latin-1").rstrip(" "),
            "confidence": chance_W.tolist(),
        }


def lay_out(question: str, answer_width: int, layout: str = "compact") -> str:
    r"""Write a question as a model is asked it, the answer field as mask bytes.

    The package vsc_dataset lays out training rows; a checkpoint must do without it, so this is
    its equal, held to it by a test.

    Args:
      question: the text before the second colon, in either layout.
      answer_width: bytes of the answer field.
      layout: how the model's questions are written, "compact" or "spaced".
    Returns:
      The row without padding.
    Raises:
      ValueError: one line: this is no question, an operation is impossible, or the answer does
        not fit into its field.

    >>> lay_out("YNP:3>1 -3", 3, "spaced")
    'YNP: 3>1, -3: \x00\x00\x00'
    """
    if not isinstance(question, str):
        raise ValueError(f"a question is a text such as 'NPFKT:5>4 3>1', not {question!r}")
    try:
        letters, operations = _read(question)
        length = _answer_length(letters, operations)
        if length > answer_width:
            raise ValueError(f"its answer has {length} letters, the answer field {answer_width}")
    except ValueError as error:
        raise ValueError(f"question {question!r}: {error}") from None
    behind_letters, between, before_answer = _SEPARATORS[layout]
    prompt = letters + behind_letters + between.join(operations) + before_answer
    return prompt + MASK_TOKEN * answer_width


def _read(question: str) -> tuple[str, list[str]]:
    """Letters and operations of a question in either layout."""
    letters, colon, rest = question.partition(":")
    if not colon:
        raise ValueError("no colon: letters and operations are separated by ':'")
    if ":" in rest:
        raise ValueError("it ends before the second colon")
    if not re.fullmatch("[A-Z]+", letters) or len(set(letters)) < len(letters):
        raise ValueError("before the colon stand distinct capitals from A to Z, at least one")
    layout = "spaced" if rest.startswith(" ") else "compact"
    behind_letters, between, _ = _SEPARATORS[layout]
    body = rest[len(behind_letters) - 1 :]
    operations = body.split(between) if body else []
    for number, operation in enumerate(operations, 1):
        if not _OPERATION.fullmatch(operation):
            raise ValueError(
                f"operation {number} {operation!r} is none of x>y, -x, +x "
                f"with positions from 1, separated by {between!r}"
            )
    return letters, operations


def _answer_length(letters: str, operations: list[str]) -> int:
    """How many letters are left in the end; ValueError names the first impossible operation."""
    present, stack = len(letters), 0
    for number, operation in enumerate(operations, 1):
        positions = [int(position) for position in re.findall(r"\d+", operation)]
        repeated = len(set(positions)) < len(positions)
        if max(positions) > present or repeated or (operation[0] == "+" and not stack):
            raise ValueError(
                f"operation {number} {operation!r} is impossible: "
                f"{present} letters are present, {stack} on the stack"
            )
        step = {"-": -1, "+": 1}.get(operation[0], 0)
        present, stack = present + step, stack - step
    return present


def register_pipeline() -> None:
    """Make the task "vsc" known to `transformers.pipeline`; again is harmless."""
    known = PIPELINE_REGISTRY.supported_tasks.get("vsc")
    if known is None or known["impl"] is not VscPipeline:
        PIPELINE_REGISTRY.register_pipeline("vsc", VscPipeline, pt_model=AutoModelForMaskedLM)
