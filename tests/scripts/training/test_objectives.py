"""Objectives and layouts: what a model reads, which position predicts which id, who is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import pipeline

from scripts.core.batches import IGNORED, model_inputs, objective_of
from scripts.core.inference import measure, predict
from scripts.training.distributed import make_accelerator
from scripts.training.loop import check_recipe
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from vsc_dataset import sample
from vsc_models.pipeline_vsc import VscPipeline

CPU = torch.device("cpu")
SMALL = find_recipe("swap-delta").changed(num_samples=640, model_args={"causal": True})
NEXT = SMALL.changed(objective="next-token")


def model_of(recipe):
    torch.manual_seed(0)
    return build_model(recipe).eval()


@pytest.mark.parametrize("data", ["swap-nops2-5", "default-spaced", "track"])
@pytest.mark.parametrize("loss", ["answer", "all"])
def test_next_tokens_are_the_ids_one_place_later(data, loss):
    recipe = NEXT.changed(data=data, loss=loss)
    samples = sample(recipe.config, "train", range(5))
    model = model_of(recipe)
    assert objective_of(model) == "next-token"
    inputs, labels = model_inputs(model, samples, loss, CPU)
    assert np.array_equal(inputs["input_ids"], samples.labels)
    positions = inputs.get("answer_positions")
    if positions is None:
        positions = torch.arange(labels.shape[1]).expand_as(labels)
    counted = 0
    for row in range(len(samples)):
        for position, label in zip(positions[row].tolist(), labels[row].tolist(), strict=True):
            if label != IGNORED:
                counted += 1
                assert label == samples.labels[row, position + 1]
    wanted = samples.answer_mask if loss == "answer" else samples.attention_mask[:, 1:]
    assert counted == wanted.sum()


def test_a_model_that_knows_the_next_token_makes_no_error():
    samples = sample("swap-nops5", "validation", range(20))

    class Copies(torch.nn.Module):
        """Reads the row one place later, which no honest model can."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.config = type("Config", (), {"objective": "next-token"})

        def forward(self, input_ids):
            after = torch.nn.functional.pad(input_ids[:, 1:], (0, 1))
            return torch.nn.functional.one_hot(after, 256).float() + self.weight

    assert measure(Copies(), samples).rates["sample_error_pct"] == 0
    with_fill = Copies()
    with_fill.config.objective = "fill"
    assert measure(with_fill, samples).rates["sample_error_pct"] == 100


GPT2 = find_recipe("zoo-gpt2").changed(objective="next-token", num_samples=640)


@pytest.mark.parametrize("recipe", [NEXT, GPT2], ids=["delta", "gpt2"])
def test_greedy_decoding_is_right_exactly_where_the_one_pass_is(recipe):
    model, samples = model_of(recipe), sample(recipe.config, "validation", range(40))
    decoded = [
        one["answer"].ljust(5) for one in VscPipeline(model, device="cpu")(samples.questions())
    ]
    # What greedy decoding writes counts as right; in every second row a letter is another one.
    field = np.array([[*answer.encode("latin-1")] for answer in decoded], np.uint8)
    place = np.arange(40) % 5
    field[1::2, place[1::2]] = ord("%")
    labels = samples.labels.copy()
    labels[samples.answer_mask] = field.flatten()
    altered = replace(samples, labels=labels)
    pairs = zip(predict(model, altered).answers, altered.answers(), strict=True)
    assert [one == true for one, true in pairs] == [row % 2 == 0 for row in range(40)]


@pytest.mark.parametrize("model", ["swap-delta", "zoo-bert", "mixed-l6"])
def test_a_model_that_looks_ahead_is_refused_for_next_tokens(model):
    recipe = find_recipe(model).changed(objective="next-token", num_samples=640)
    with pytest.raises(ValueError, match=r"looks ahead at position \d+; take a causal one"):
        check_recipe(recipe, 0, make_accelerator())


@pytest.mark.parametrize("model", ["zoo-gpt2", "zoo-llama"])
def test_a_causal_model_is_taken_for_next_tokens(model):
    recipe = find_recipe(model).changed(objective="next-token", num_samples=640)
    check_recipe(recipe, 0, make_accelerator())


def test_an_objective_that_cannot_be_is_one_line():
    with pytest.raises(ValueError, match=r"objective is 'guess': use one of"):
        SMALL.changed(objective="guess")
    with pytest.raises(ValueError, match=r"a position has one label; use loss 'answer' or 'all'"):
        NEXT.changed(loss="trace")


def test_a_recipe_of_before_objectives_fills():
    kept = replace(SMALL).to_json()
    del kept["objective"]
    assert type(SMALL).from_dict(kept) == SMALL


def test_a_checkpoint_of_tokens_says_its_layout_and_objective(tmp_path):
    recipe = NEXT.changed(data="track")
    model_of(recipe).save_pretrained(tmp_path)
    ask = pipeline("vsc", model=str(tmp_path), pipeline_class=VscPipeline)
    assert (ask.trained.layout, ask.trained.objective) == ("tokens", "next-token")
    assert ask.model.config.vocab_size == 731
    assert len(ask("ABCDE:1>2 3>4")["confidence"]) == 5
