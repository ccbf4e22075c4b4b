"""Models that answer by executing the program: what is measured on them is known beforehand."""

import numpy as np
import torch
from torch import nn

from vsc_dataset.language import Program, parse
from vsc_dataset.vocabulary import MASK, PAD


class Solver(nn.Module):
    """Right on all questions but those for which `errs(program)`; there one letter is wrong.

    `config` may hold answer_width and layout, as those of our models do.
    """

    def __init__(self, errs=lambda program: False, config=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.errs, self.config = errs, config
        self.widths, self.evaluated = set(), 0

    def forward(self, input_ids):
        rows_NxL = input_ids.numpy().astype(np.uint8)
        self.evaluated += len(rows_NxL)
        self.widths.add(rows_NxL.shape[1])
        written = np.stack([self.answer(row) for row in rows_NxL])
        return nn.functional.one_hot(torch.from_numpy(written.astype(np.int64)), 256).float()

    def answer(self, row_L):
        """The row with its answer field filled in."""
        field = np.flatnonzero(row_L == MASK)
        program: Program = parse(row_L[: field[0]].tobytes().decode().rstrip(" ")[:-1])
        text = program.answer.ljust(len(field)).encode()
        filled = row_L.copy()
        filled[field] = np.frombuffer(text, np.uint8)
        if self.errs(program):
            filled[field[0]] = ord("?")
        assert (filled[field[-1] + 1 :] == PAD).all()
        return filled
