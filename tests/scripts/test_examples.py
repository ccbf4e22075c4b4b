"""The examples run as they stand, and are as short as they promise."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import torch

from vsc_models import VscMixerConfig, VscMixerForMaskedLM
from vsc_models.import_utils import make_layer

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "examples" / "own_layer.py"
TRAINER = ROOT / "examples" / "with_trainer.py"


def run(path, *words, cwd):
    done = subprocess.run(
        [sys.executable, str(path), *map(str, words)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_transformers_trainer_learns_on_our_data_and_metric(tmp_path):
    assert len(TRAINER.read_text().splitlines()) < 40
    said = run(TRAINER, 9600, tmp_path, cwd=tmp_path)
    figures = {key: float(value) for key, value in re.findall(r"'eval_(\w+)': '?([\d.]+)", said)}
    assert figures["loss"] < 2.5
    assert 50 < figures["mask_error_pct"] < 85  # a letter at random is 96, one of the row 80
    assert figures["mask_error_pct"] <= figures["sample_error_pct"] <= 100


def test_the_layer_of_the_example_is_trained_by_the_command_beside_it(tmp_path):
    assert len(LAYER.read_text().splitlines()) < 30
    words = LAYER.read_text().split("accelerate launch ")[1].splitlines()[0].split()
    assert words[0] == "scripts/train.py"
    place = str(ROOT / words[-1])
    flags = [*words[1:-1], place, "--max-samples", 640, "--output-dir", tmp_path / "run"]
    said = run(ROOT / words[0], *flags, cwd=tmp_path)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    layer, gru = make_layer(place, {}, 32), make_layer("torch.nn:GRU", {}, 32)
    own, other = (sum(p.numel() for p in one.parameters()) for one in (layer, gru))
    around = VscMixerForMaskedLM(VscMixerConfig()).num_parameters() - other
    assert f"{results['parameters']:,} parameters" in said
    assert results["parameters"] == around + own
    assert layer(torch.zeros(2, 7, 32)).shape == (2, 7, 32)
