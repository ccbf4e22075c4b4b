"""A custom layer: (batch, length, width) -> the same. Train it by one command:

accelerate launch scripts/train.py --recipe swap-delta --mixer examples/own_layer.py:Decay
"""

import torch
from torch import Tensor, nn


class Decay(nn.Module):
    """Every channel forgets at its rate, left to right."""

    def __init__(self, hidden_size: int, slowest: float = 0.99) -> None:
        super().__init__()
        self.write = nn.Linear(hidden_size, hidden_size)
        self.read = nn.Linear(hidden_size, hidden_size)
        self.rate = nn.Parameter(torch.linspace(0.1, slowest, hidden_size).logit())

    def forward(self, x: Tensor) -> Tensor:
        """Mix along the length; what comes after a byte must not matter to it."""
        written, rate, state, read = self.write(x), self.rate.sigmoid(), 0 * x[:, 0], []
        for step in written.unbind(1):
            state = rate * state + (1 - rate) * step
            read.append(state)
        return self.read(torch.stack(read, dim=1))
