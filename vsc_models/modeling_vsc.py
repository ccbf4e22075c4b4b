"""Compute logits and loss from tokens with a masked answer field: what all VSC models share."""

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from transformers import PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from .configuration_vsc import VscConfig


class VscBackbone(nn.Module, ABC):
    """A map of token ids to hidden states. A model defines `forward` and keeps `embed_tokens`."""

    def __init__(self, config: VscConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)

    @abstractmethod
    def forward(
        self, ids_BxL: Tensor, mask_BxL: Tensor | None, positions_BxW: Tensor | None
    ) -> Tensor:
        """Compute hidden states.

        Args:
          ids_BxL: int64, the masked input.
          mask_BxL: bool, False where a token is padding and must not be seen; None: see all.
          positions_BxW: int64, the positions that are wanted; None: all of them.
        Returns:
          (B, W, D), or (B, L, D) where `positions_BxW` is None.
        """


class VscPreTrainedModel(PreTrainedModel):
    """Tie VSC models to transformers: configuration, initialization, saving, loading."""

    config_class = VscConfig
    base_model_prefix = "model"
    _supports_sdpa = True

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any
    ) -> Any:
        """Load a checkpoint whole, or not at all.

        transformers draws anew what a checkpoint lacks, drops what the model lacks, and says so
        in a table. `ignore_mismatched_sizes=True` brings that back. Pickled weights are not looked
        at without `use_safetensors=False`.

        Returns:
          the model in evaluation mode; with `output_loading_info=True` also transformers' report.
        Raises:
          ValueError: one line: a tensor is missing, foreign or of another shape, or a file of
            the weights is missing or cannot be read.
          OSError: transformers' own: there is no checkpoint of that name, or no safetensors in it.
        """
        kwargs.setdefault("use_safetensors", True)
        if kwargs.get("ignore_mismatched_sizes"):
            return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        with_info = kwargs.pop("output_loading_info", False)
        kwargs |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
        with readable(pretrained_model_name_or_path), _no_loading_report():
            loaded: Any = super().from_pretrained(
                pretrained_model_name_or_path, *model_args, **kwargs
            )
        check_tensors(pretrained_model_name_or_path, cls.__name__, loaded[1])
        return loaded if with_info else loaded[0]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # transformers would draw every weight from N(0, 0.02): far too little for so few channels.
        # It guards weights that a checkpoint has filled, inside reset_parameters too.
        if isinstance(module, nn.Embedding):
            # Also the output weights: logits of unit size need 1 / sqrt(channels).
            usual = module.embedding_dim**-0.5
            nn.init.normal_(module.weight, std=self.config.initializer_range or usual)
        elif isinstance(module, (nn.Linear, nn.Conv1d, nn.LayerNorm)):
            module.reset_parameters()


class VscForMaskedLM(VscPreTrainedModel):
    """A backbone under a tied output layer. A model sets `backbone_class` and `config_class`."""

    # transformers declares it for instances, so it cannot be a ClassVar.
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012
    backbone_class: ClassVar[type[VscBackbone]]

    def __init__(self, config: VscConfig) -> None:
        super().__init__(config)
        self.model = self.backbone_class(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        answer_positions: Tensor | None = None,
        logits_to_keep: Tensor | None = None,
        answer_mask: Tensor | None = None,
        return_dict: bool | None = None,
    ) -> MaskedLMOutput | tuple[Tensor, ...]:
        """Predict token i at position i of the masked input, or token i + 1: see `objective`.

        Args:
          input_ids: int64 (B, L), the answer field as `mask_token_id` where it is to be filled.
          attention_mask: (B, L), 0 where a token is padding. Without it, everything after the
            last mask token of a row is padding; a row without a mask token has none.
          labels: int64 (B, L), the true tokens at every position; they are shifted here where
            the objective is not "fill". -100 and padding do not count.
          answer_positions: int64 (B, W), the positions that are wanted, such as the answer field.
            Labels are taken for the same positions. It saves time and changes no logits.
          logits_to_keep: the old name of `answer_positions`, for one more release.
          answer_mask: bool (B, L), as the data has it: labels elsewhere do not count.
          return_dict: False returns a tuple.
        Returns:
          loss, the mean cross entropy in nats, computed in float32 (None without labels), and
          logits (B, L, vocab_size), or (B, W, vocab_size).
        Raises:
          ValueError: a shape that does not fit `input_ids`, and the message gives both;
            `answer_positions` is a number; or labels for a model that fills the answer field, and
            no field to fill: it would learn to copy its input.
        """
        if logits_to_keep is not None:
            warnings.warn(
                "logits_to_keep is called answer_positions now", FutureWarning, stacklevel=2
            )
            answer_positions = logits_to_keep
        _check_shapes(
            input_ids, answer_positions, attention_mask=attention_mask, labels=labels,
            answer_mask=answer_mask,
        )  # fmt: skip
        mask_BxL = _find_padding_mask(input_ids, attention_mask, self.config.mask_token_id)
        seen_BxL = mask_BxL if self.config.mask_padding else None
        logits = self.lm_head(self.model(input_ids, seen_BxL, answer_positions))
        loss = None
        if labels is not None:
            self._check_field(input_ids)
            counted_BxL = mask_BxL if answer_mask is None else mask_BxL & answer_mask.bool()
            labels = labels.masked_fill(~counted_BxL, -100)
            if self.config.objective != "fill":
                labels = pad(labels[:, 1:], (0, 1), value=-100)
            if answer_positions is not None:
                labels = labels.gather(1, answer_positions)
            loss = cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
        output = MaskedLMOutput(loss=loss, logits=logits)
        as_tuple = return_dict is False or (return_dict is None and not self.config.return_dict)
        return output.to_tuple() if as_tuple else output

    def _check_field(self, ids_BxL: Tensor) -> None:
        """Raise a ValueError where labels are those of another objective."""
        config = self.config
        if config.objective != "fill" or torch.compiler.is_compiling():
            return
        if not (ids_BxL == config.mask_token_id).any():
            raise ValueError(
                f"objective='fill' predicts the answer field, and input_ids has no mask_token_id "
                f"({config.mask_token_id}): mask the field, or for labels of the next token give "
                "the configuration objective='next-token' (and causal=True)"
            )


@contextmanager
def readable(source: Any) -> Iterator[None]:
    """Turn the errors of damaged or missing weights into one line."""
    try:
        yield
    except (SafetensorError, FileNotFoundError, JSONDecodeError, UnicodeDecodeError) as error:
        words = " ".join(str(error).split())
        raise ValueError(
            f"{source}: the weights cannot be read ({words}): "
            "a file is damaged or missing, copy or train it again"
        ) from None


@contextmanager
def _no_loading_report() -> Iterator[None]:
    """Suppress transformers' table of missing and foreign tensors: one error says it all."""
    logger = logging.getLogger("transformers.modeling_utils")

    def keep(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def check_tensors(source: Any, model_name: str, info: dict[str, Any]) -> None:
    """Raise a ValueError for the first tensor that does not fit; it also counts the others."""
    faults = [f"{name!r} is missing" for name in sorted(info["missing_keys"])]
    faults += [f"{name!r} is foreign to {model_name}" for name in sorted(info["unexpected_keys"])]
    faults += [
        f"{name!r} has shape {tuple(saved)}, {model_name} wants {tuple(wanted)}"
        for name, saved, wanted in sorted(info["mismatched_keys"])
    ]
    if faults:
        more = f" (and {len(faults) - 1} more tensors do not fit)" if faults[1:] else ""
        raise ValueError(
            f"{source or 'the given state_dict'}: tensor {faults[0]}{more}: give the checkpoint as "
            "it was saved, or ignore_mismatched_sizes=True to draw anew what does not fit"
        )


def take_positions(x_BxLxD: Tensor, positions_BxW: Tensor | None) -> Tensor:
    """Take the hidden states at the wanted positions, (B, W, D); all of them for None.

    >>> take_positions(torch.arange(3.0).view(1, 3, 1), torch.tensor([[2, 0]])).flatten()
    tensor([2., 0.])
    """
    if positions_BxW is None:
        return x_BxLxD
    return x_BxLxD.gather(1, positions_BxW.unsqueeze(-1).expand(-1, -1, x_BxLxD.shape[-1]))


def move_padding_last(
    x_BxLxD: Tensor, mask_BxL: Tensor, positions_BxW: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Move each row's padding to its end: a layer that reads to the right never meets it.

    Returns:
      The hidden states, their mask, and where the wanted positions are now, (B, W).

    >>> x, mask = torch.arange(3.0).view(1, 3, 1), torch.tensor([[False, True, True]])
    >>> x, mask, wanted = move_padding_last(x, mask, None)
    >>> x.flatten(), mask, wanted
    (tensor([1., 2., 0.]), tensor([[ True,  True, False]]), tensor([[2, 0, 1]]))
    """
    order_BxL = (~mask_BxL).byte().argsort(dim=1, stable=True)
    moved_BxL = order_BxL.argsort(dim=1)
    wanted_BxW = moved_BxL if positions_BxW is None else moved_BxL.gather(1, positions_BxW)
    return take_positions(x_BxLxD, order_BxL), mask_BxL.gather(1, order_BxL), wanted_BxW


def _find_padding_mask(ids_BxL: Tensor, attention_mask: Tensor | None, mask_id: int) -> Tensor:
    """Find padding, (B, L): True for question and answer field, False for padding."""
    if attention_mask is not None:
        return attention_mask.bool()
    length = ids_BxL.shape[1]
    position_L = torch.arange(1, length + 1, device=ids_BxL.device)
    last_B = ((ids_BxL == mask_id) * position_L).amax(1, keepdim=True)
    return position_L <= last_B.masked_fill(last_B == 0, length)


def _check_shapes(
    input_ids: Tensor, answer_positions: Tensor | None, **others: Tensor | None
) -> None:
    """Raise a ValueError for a shape that does not fit: gather would cut it silently."""
    if input_ids.ndim != 2:
        raise ValueError(f"input_ids has shape {tuple(input_ids.shape)}: give (batch, length)")
    for name, tensor in others.items():
        if tensor is not None and tensor.shape != input_ids.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}, input_ids {tuple(input_ids.shape)}: "
                "give one entry per token"
            )
    if answer_positions is None:
        return
    if not isinstance(answer_positions, Tensor):
        raise ValueError(
            f"answer_positions is {answer_positions!r}: give a tensor of positions, (batch, wanted)"
        )
    if answer_positions.shape[:-1] != input_ids.shape[:1]:
        raise ValueError(
            f"answer_positions has shape {tuple(answer_positions.shape)}, "
            f"input_ids {tuple(input_ids.shape)}: give positions as (batch, wanted)"
        )
