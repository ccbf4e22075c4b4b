"""Answer questions with a model, with a confidence per letter: `pipeline("vsc", …)`."""

import re
from collections.abc import Iterable, Sized
from types import GeneratorType
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoModelForMaskedLM, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from .tokenization_vsc import MASK_TOKEN, make_tokenizer

KNOWN_INPUTS = (str, bytes, dict, list, Dataset, GeneratorType)
"""By these types transformers tells one question, a list and a stream of them apart."""

# The three separators of a row: after the letters, between operations, before the answer.
_SEPARATORS = {"compact": (":", " ", ":"), "spaced": (": ", ", ", ": ")}

_OPERATION = re.compile(r"[1-9]\d*>[1-9]\d*|[-+][1-9]\d*", re.ASCII)


class EvaluationFormat(NamedTuple):
    """How the rows of a model are written, as far as it is known: what training used.

    Attributes:
      layout: of its questions, "compact" or "spaced".
      answer_width: bytes of the answer field.
      row_width: bytes of every row, of a model without a padding mask.
      longest_row: bytes of the longest row that the model can read, where there is a limit.
    """

    layout: str | None = None
    answer_width: int | None = None
    row_width: int | None = None
    longest_row: int | None = None


def read_format(config: Any) -> EvaluationFormat:
    """Read from a model's config how its rows are written.

    >>> from transformers import GPT2Config
    >>> read_format(GPT2Config(layout="spaced", answer_width=5))[:2]
    ('spaced', 5)
    """
    return EvaluationFormat(*(getattr(config, name, None) for name in EvaluationFormat._fields))


class VscPipeline(Pipeline):
    """Answer questions with a model: `pipeline("vsc", model=checkpoint)("NPFKT:5>4 3>1")`.

    The model's config says how its rows are written, see `EvaluationFormat`; a question in the
    other layout is rewritten. Padding is excluded through the attention mask, so a question has
    one answer, alone or in any batch.

    `save_pretrained` writes model, tokenizer and code. What it wrote asks for
    `trust_remote_code=True`, or, where this package is installed, `pipeline_class=VscPipeline`.

    Args (as keywords of `pipeline("vsc", …)` or of one call; the call's come first):
      answer_width: bytes of the answer field; needed where the config has none.
      layout: "compact" or "spaced"; where the config has none, a question stays in its own.
      pad_to: bytes to which every row is padded; needed for a model without a padding mask
        (`mask_padding=False`) whose config has no row_width. Other models do not notice it.
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
                raise ValueError(f"{name}={value!r}: give a number of bytes, 1 or more")
        given = {"answer_width": answer_width, "pad_to": pad_to, "layout": layout}
        return {name: value for name, value in given.items() if value is not None}, {}, {}

    def preprocess(  # type: ignore[override]
        self,
        input_: str,
        answer_width: int | None = None,
        pad_to: int | None = None,
        layout: str | None = None,
    ) -> dict[str, Any]:
        """Lay a question out: input_ids and attention_mask, int64 (1, L), and the question."""
        config, trained = self.model.config, read_format(self.model.config)
        width = answer_width or trained.answer_width
        if width is None:
            raise ValueError("the model's config has no answer_width: give answer_width=")
        if not getattr(config, "mask_padding", True):
            pad_to = pad_to or trained.row_width
            if pad_to is None:
                raise ValueError(
                    "this model has no padding mask (mask_padding=False): "
                    "give pad_to=, the width of the rows that it was trained on"
                )
        row = lay_out(input_, width, layout or trained.layout)
        needed = max(len(row), pad_to or 0)
        limits = {
            "pad_to": pad_to,
            "longest_row": trained.longest_row,
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
        """Compute logits in the answer field, (B, answer_width, vocab_size)."""
        ids_BxL: Tensor = input_tensors["input_ids"]
        training = self.model.training
        self.model.eval()
        outputs = self.model(input_ids=ids_BxL, attention_mask=input_tensors["attention_mask"])
        self.model.train(training)
        # A question holds no mask byte, and all rows of a batch have an answer field of one width.
        answer_BxL = ids_BxL == ord(MASK_TOKEN)
        logits_BxWxV = outputs.logits[answer_BxL].unflatten(0, (len(ids_BxL), -1))
        return {"logits": logits_BxWxV, "question": input_tensors["question"]}

    def postprocess(
        self, model_outputs: dict[str, Any], **postprocess_parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the result of one question; see `__call__`."""
        chance_W, byte_W = model_outputs["logits"][0].float().softmax(-1).max(-1)
        return {
            "question": model_outputs["question"],
            "answer": bytes(byte_W.tolist()).decode("latin-1").rstrip(" "),
            "confidence": chance_W.tolist(),
        }


def lay_out(question: str, answer_width: int, layout: str | None = None) -> str:
    r"""Write the row of a question, the answer field as mask bytes.

    The package vsc_dataset lays out training rows; a checkpoint must do without it, so this is
    its equal, compared with it by a test.

    Args:
      question: the text before the second colon, in either layout.
      answer_width: bytes of the answer field.
      layout: "compact" or "spaced"; None keeps the question's own.
    Returns:
      The row without padding.
    Raises:
      ValueError: one line: this is not a question, an operation is impossible, the answer does
        not fit into its field, or the layout is unknown.

    >>> lay_out("YNP:3>1 -3", 3, "spaced")
    'YNP: 3>1, -3: \x00\x00\x00'
    """
    if not isinstance(question, str):
        raise ValueError(f"a question is a text such as 'NPFKT:5>4 3>1', not {question!r}")
    try:
        letters, operations, own_layout = _read(question)
        length = _answer_length(letters, operations)
        if length > answer_width:
            raise ValueError(f"its answer has {length} letters, the answer field {answer_width}")
    except ValueError as error:
        raise ValueError(f"question {question!r}: {error}") from None
    if layout not in (None, *_SEPARATORS):
        raise ValueError(f"layout={layout!r} is unknown: use one of {[*_SEPARATORS]}")
    after_letters, between, before_answer = _SEPARATORS[layout or own_layout]
    prompt = letters + after_letters + between.join(operations) + before_answer
    return prompt + MASK_TOKEN * answer_width


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
                f"operation {number} {operation!r} is none of x>y, -x, +x "
                f"with positions from 1, separated by {between!r}"
            )
    return letters, operations, layout


def _answer_length(letters: str, operations: list[str]) -> int:
    """Count the letters of the answer; a ValueError names the first impossible operation."""
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
    registered = PIPELINE_REGISTRY.supported_tasks.get("vsc")
    if registered is None or registered["impl"] is not VscPipeline:
        PIPELINE_REGISTRY.register_pipeline("vsc", VscPipeline, pt_model=AutoModelForMaskedLM)
