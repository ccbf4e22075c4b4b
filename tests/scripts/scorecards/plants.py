"""Models that lack one ability, of a layer that has all of them: what does their scorecard say?"""

import torch
from torch import Tensor, nn

from vsc_dataset.language import TOKENS
from vsc_dataset.vocabulary import BYTES, VOCABULARIES
from vsc_models import VscMixerConfig, VscMixerForMaskedLM

FIRST_OPERATION = 29
"""The id of the first operation in tokens; all later ids are operations, too."""


class Planted(nn.Module):
    """A delta rule that reads its question wrongly.

    Args:
      fault: "digits", all of them look alike; "order", operations are read in the order of the
        alphabet.
    """

    def __init__(self, fault: str, vocab_size: int) -> None:
        super().__init__()
        self.fault = fault
        layout = TOKENS if vocab_size > BYTES else "compact"
        self.in_tokens = layout == TOKENS
        self.model = VscMixerForMaskedLM(
            VscMixerConfig(
                vocab_size=vocab_size,
                layout=layout,
                pad_token_id=VOCABULARIES[layout].pad,
                hidden_size=64,
                conv_kernel_sizes=[5, 5],
                intermediate_size=128,
                causal=True,
                mixer="vsc_models.baselines:Delta",
            )
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Compute logits (B, L, vocabulary) from int64 (B, L)."""
        if self.fault == "digits" and not self.in_tokens:
            digit_BxL = (input_ids >= ord("1")) & (input_ids <= ord("9"))
            input_ids = torch.where(digit_BxL, ord("1"), input_ids)
        if self.fault == "order":
            sort = sort_tokens if self.in_tokens else sort_bytes
            input_ids = torch.stack([sort(row) for row in input_ids])
        logits_BxLxV: Tensor = self.model(input_ids, attention_mask).logits
        return logits_BxLxV


def sort_tokens(ids_L: Tensor) -> Tensor:
    """Put the operations of a row of tokens into the order of their ids."""
    at = ids_L >= FIRST_OPERATION
    return ids_L.masked_scatter(at, ids_L[at].sort().values)


def sort_bytes(ids_L: Tensor) -> Tensor:
    """Put the operations of a row of bytes into the order of the alphabet."""
    if (ids_L == ord(":")).sum() != 2:
        return ids_L
    letters, operations, answer = bytes(ids_L.tolist()).split(b":")
    parts = (letters, b" ".join(sorted(operations.split(b" "))), answer)
    return torch.tensor([*b":".join(parts)], device=ids_L.device)


def make(fault: str, vocab_size: int) -> nn.Module:
    """Make a model with a fault."""
    return Planted(fault, vocab_size)
