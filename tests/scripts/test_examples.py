"""The examples run as they stand, and are as short as they promise."""

import json
import re

import pytest
import torch

from tests.commands import ROOT, run_command, run_script
from vsc_models import VscMixerConfig, VscMixerForMaskedLM
from vsc_models.import_utils import make_layer

LAYER = ROOT / "examples" / "own_layer.py"
TRAINER = ROOT / "examples" / "with_trainer.py"


@pytest.mark.filterwarnings("ignore:.pin_memory")  # its default, on a machine without a GPU
def test_transformers_trainer_learns_on_our_data_and_metric(tmp_path):
    assert len(TRAINER.read_text().splitlines()) < 40
    done = run_script(TRAINER, 3200, tmp_path)
    rates = {k: float(v) for k, v in re.findall(r"'eval_(\w+)': '?([\d.]+)", done.stdout)}
    assert rates["loss"] < 3.5  # 5.5 is a guess among 256 bytes
    assert 80 < rates["mask_error_pct"] < 92  # a letter at random is 96, one of the row 80
    assert rates["mask_error_pct"] <= rates["sample_error_pct"] <= 100


def test_the_layer_of_the_example_is_trained_by_the_command_next_to_it(tmp_path):
    assert len(LAYER.read_text().splitlines()) < 30
    words = LAYER.read_text().split("accelerate launch ")[1].splitlines()[0].split()
    assert words[0] == "scripts/train.py"
    layer_path = str(ROOT / words[-1])
    short = ["--max-samples", 64, "--validation-questions", 64, "--output-dir", tmp_path / "run"]
    done = run_command("train", *words[1:-1], layer_path, *short)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    layer, gru = make_layer(layer_path, {}, 32), make_layer("torch.nn:GRU", {}, 32)
    ours, theirs = (sum(p.numel() for p in one.parameters()) for one in (layer, gru))
    rest = VscMixerForMaskedLM(VscMixerConfig()).num_parameters() - theirs
    assert f"{results['parameters']:,} parameters" in done.stdout
    assert results["parameters"] == rest + ours
    assert layer(torch.zeros(2, 7, 32)).shape == (2, 7, 32)
