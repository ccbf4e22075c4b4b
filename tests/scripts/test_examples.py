"""The examples run as they stand, and are as short as they promise."""

import json
import re

import pytest
import torch
from transformers import EvalPrediction

from tests.commands import ROOT, run_command, run_python, run_script
from vsc_models import VscMixerConfig, VscMixerForMaskedLM
from vsc_models.import_utils import make_layer
from vsc_models.pipeline_vsc import read_format

LAYER = ROOT / "examples" / "own_layer.py"
TRAINER = ROOT / "examples" / "with_trainer.py"
TRL = ROOT / "examples" / "with_trl.py"


@pytest.mark.filterwarnings("ignore:.pin_memory")  # its default, on a machine without a GPU
@pytest.mark.parametrize("objective, highest", [((), 94), (("next-token",), 97)])
def test_transformers_trainer_learns_on_our_data_and_metric(tmp_path, objective, highest):
    assert len(TRAINER.read_text().splitlines()) < 50
    done = run_script(TRAINER, 3200, tmp_path, *objective)
    rates = {k: float(v) for k, v in re.findall(r"'eval_(\w+)': '?([\d.]+)", done.stdout)}
    assert rates["loss"] < 3.5  # 5.5 is a guess among 256 bytes
    assert 80 < rates["mask_error_pct"] < highest  # a letter at random is 96, one of the row 80
    assert rates["mask_error_pct"] <= rates["sample_error_pct"] <= 100


def test_the_trainer_s_example_without_arguments_says_what_it_takes():
    done = run_script(TRAINER)
    assert done.exit_code == 1
    assert "NUM_TRAIN FOLDER" in done.stderr


@pytest.mark.parametrize("objective", [(), ("next-token",)])
def test_the_metric_of_the_trainer_s_example_compares_each_place_with_its_own_label(
    tmp_path, monkeypatch, objective
):
    rates = {}

    class Knows:
        """In place of transformers' Trainer: a model that knows every label."""

        def __init__(self, model, arguments, collate, *, eval_dataset, compute_metrics, **_):
            self.batch, self.metric = collate(eval_dataset[:20]), compute_metrics
            # As evaluate.py and the pipeline read it from its checkpoint.
            assert read_format(model.config).objective == (*objective, "fill")[0]
            assert read_format(model.config).answer_width == 5

        def train(self):
            pass

        def evaluate(self):
            labels = self.batch["labels"]
            ids = labels.roll(-1, 1) if objective else labels  # of next tokens one place earlier
            logits = torch.nn.functional.one_hot(ids.clamp(min=0), 256)
            rates.update(self.metric(EvalPrediction(logits.numpy(), labels.numpy())))

    monkeypatch.setattr("transformers.Trainer", Knows)
    run_script(TRAINER, 64, tmp_path, *objective)
    assert (rates["sample_error_pct"], rates["mask_error_pct"]) == (0, 0)


@pytest.mark.soak
def test_trl_fine_tunes_and_rewards_on_our_columns_and_reward(tmp_path):
    pytest.importorskip("trl")
    assert len(TRL.read_text().splitlines()) < 40
    done = run_python(TRL, "6400", "10", "out", cwd=tmp_path, HF_HOME=str(tmp_path / "home"))
    assert done.exit_code == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"'loss': '([\d.]+)'", done.stdout)]
    assert losses[9] < 3 < losses[0]  # 5.5 is a guess among 257 tokens
    reward = float(done.stdout.split()[-1])
    assert 0.01 < reward < 1  # a letter of 26 at the right place is 0.04


def test_the_layer_of_the_example_is_trained_by_the_command_next_to_it(tmp_path):
    assert len(LAYER.read_text().splitlines()) < 30
    words = LAYER.read_text().split("accelerate launch ")[1].splitlines()[0].split()
    assert words[0] == "scripts/train.py"
    layer_path = str(ROOT / words[-1])
    short = ["--max-samples", 64, "--samples-per-validation", 64, "--final-samples", 64]
    run = ["--output-dir", tmp_path / "run"]
    done = run_command("train", *words[1:-1], layer_path, *short, *run)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    layer, gru = make_layer(layer_path, {}, 32), make_layer("torch.nn:GRU", {}, 32)
    ours, theirs = (sum(p.numel() for p in one.parameters()) for one in (layer, gru))
    rest = VscMixerForMaskedLM(VscMixerConfig()).num_parameters() - theirs
    assert f"{results['parameters']:,} parameters" in done.stdout
    assert results["parameters"] == rest + ours
    assert layer(torch.zeros(2, 7, 32)).shape == (2, 7, 32)
