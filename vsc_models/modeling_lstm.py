"""Compute logits from tokens with a masked answer field, by an LSTM from left to right."""

import torch
from torch import Tensor, nn

from .configuration_vsc import VscLstmConfig
from .modeling_vsc import VscBackbone, VscForMaskedLM, move_padding_last, take_positions


class VscLstmModel(VscBackbone):
    """A stack of LSTM layers, neither residual nor normalized."""

    def __init__(self, config: VscLstmConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.lstm = nn.LSTM(size, size, config.num_layers, batch_first=True)

    def forward(
        self, ids_BxL: Tensor, mask_BxL: Tensor | None, positions_BxW: Tensor | None
    ) -> Tensor:
        """As VscBackbone.forward."""
        x_BxLxD = self.embed_tokens(ids_BxL)
        if mask_BxL is not None:  # a byte of padding would change the state even as zeros
            x_BxLxD, _, positions_BxW = move_padding_last(x_BxLxD, mask_BxL, positions_BxW)
        return take_positions(self._run(x_BxLxD), positions_BxW)

    def _run(self, x_BxLxD: Tensor) -> Tensor:
        """Run the LSTM, on a CPU always in the precision of its weights."""
        if x_BxLxD.device.type != "cpu":
            return self.lstm(x_BxLxD)[0]
        # oneDNN has an LSTM in bfloat16 for a few processors alone, and raises on the others.
        with torch.autocast("cpu", enabled=False):
            return self.lstm(x_BxLxD)[0]


class VscLstmForMaskedLM(VscForMaskedLM):
    """The LSTM with its output layer; `forward` as in VscForMaskedLM.

    Source: the article's baseline.

    >>> VscLstmForMaskedLM(VscLstmConfig()).num_parameters()
    216064
    """

    config_class = VscLstmConfig
    backbone_class = VscLstmModel

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.LSTM):
            module.reset_parameters()
