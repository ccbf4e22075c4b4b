"""The delta model is exported, traced and compiled for rows of any length."""

import pytest
import torch
from torch import nn
from torch.export import Dim

from tests.vsc_models.questions import close
from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM

SIZES = {"hidden_size": 16, "num_counters": 3, "num_householder": 2, "num_places": 9}


class Logits(nn.Module):
    """The model without its output class, which a trace cannot return."""

    def __init__(self, **sizes):
        super().__init__()
        torch.manual_seed(0)
        self.model = VscDeltaForMaskedLM(VscDeltaConfig(**{**SIZES, **sizes})).eval()

    def forward(self, ids):
        return self.model(input_ids=ids).logits


def row(nops):
    """Two questions of `nops` + 1 swaps."""
    return torch.tensor([list(b"NPFKT:" + b"1>2 " * nops + b"5>4:" + bytes(5))] * 2)


def check(model, converted, lengths):
    for nops in lengths:
        with torch.no_grad():
            assert close(converted(row(nops)), model(row(nops)))


def test_it_is_exported_with_a_dynamic_length_up_to_its_chunk_size():
    model = Logits(chunk_size=4096)  # two updates a byte
    sizes = {"ids": {1: Dim("length", min=8, max=2048)}}
    exported = torch.export.export(model, (row(3),), dynamic_shapes=sizes).module()
    check(model, exported, (1, 7, 100))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:.*is deprecated")
def test_it_is_traced_for_other_lengths():
    model = Logits(chunk_size=256)
    with torch.no_grad():
        traced = torch.jit.trace(model, row(3))
    check(model, traced, (1, 7, 9))


def test_it_is_compiled_as_one_graph_for_other_lengths():
    model = Logits()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    check(model, compiled, (3, 7, 40))
