"""Every row of the article's tables has the article's number of parameters."""

import csv
from pathlib import Path

import pytest

import vsc_models as vsc

TABLES = Path(__file__).parents[2] / "hub_cards" / "article" / "seed_tables.csv"
ROWS = [*csv.DictReader(TABLES.read_text().splitlines())]


def model_of(row):
    """The model of a row, by the words of the table."""
    sizes = {"hidden_size": int(row["channels"]), "num_layers": int(row["layers"])}
    if row["model"] == "lstm":
        return vsc.VscLstmForMaskedLM(vsc.VscLstmConfig(**sizes))
    if row["model"] == "mamba":
        return vsc.VscMambaForMaskedLM(vsc.VscMambaConfig(**sizes))
    dilation, heads = ([*map(int, row[f].split())] for f in ("dilation", "attention_heads"))
    config = vsc.VscConvConfig(
        **sizes,
        kernel_size=int(row["kernel_size"]),
        dilation=dilation,
        attention_heads=heads or None,
    )
    return vsc.VscConvForMaskedLM(config)


def test_the_tables_have_32_rows():
    assert len({row["id"] for row in ROWS}) == len(ROWS) == 32


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_counts_are_the_articles(row):
    assert model_of(row).num_parameters() == int(row["params"])
