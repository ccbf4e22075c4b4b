"""Objectives and layouts: what a model reads, which position predicts which id, who is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import pipeline

from scripts.core.batches import IGNORED, model_inputs
from scripts.core.evaluation_format import format_of
from scripts.core.inference import predict
from scripts.core.model_loading import open_model, row_width
from scripts.reproduction.experiments import TABLES
from scripts.training.distributed import make_accelerator
from scripts.training.loop import check_recipe
from scripts.training.model_factory import build_model
from scripts.training.recipes import find_recipe
from tests.scripts.training.commands import curve, train
from vsc_dataset import sample
from vsc_dataset.configs import make_config
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
    assert format_of(model).objective == "next-token"
    inputs, labels = model_inputs(model, samples, loss, CPU)
    assert np.array_equal(inputs["input_ids"], samples.labels)
    counted, next_ids = labels != IGNORED, inputs["input_ids"].roll(-1, 1)
    if "answer_positions" in inputs:
        next_ids = next_ids.gather(1, inputs["answer_positions"])
    assert torch.equal(labels[counted], next_ids[counted])
    wanted = samples.answer_mask if loss == "answer" else samples.attention_mask[:, 1:]
    assert counted.sum() == wanted.sum()


GPT2 = find_recipe("zoo-gpt2").changed(objective="next-token", num_samples=640)
COUNTS = [200, pytest.param(10_000, marks=pytest.mark.soak)]


def alike(model):
    """Weights at random, large enough that what is written depends on what is read."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) / 5)
    return model.double()  # else batches of other sizes may decide a near tie in another way


def decode(model, questions):
    """The answers of the pipeline, which writes one token after the other."""
    return [one["answer"] for one in VscPipeline(model, device="cpu", batch_size=100)(questions)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("recipe", [NEXT, GPT2], ids=["delta", "gpt2"])
def test_greedy_decoding_is_right_exactly_where_the_one_pass_is(recipe, count):
    model, samples = alike(model_of(recipe)), sample(recipe.config, "validation", range(count))
    decoded = [answer.ljust(5) for answer in decode(model, samples.questions())]
    # What greedy decoding writes counts as right; in every second row a letter is another one.
    field = np.array([[*answer.encode("latin-1")] for answer in decoded], np.uint8)
    place = np.arange(count) % 5
    field[1::2, place[1::2]] = ord("%")
    labels = samples.labels.copy()
    labels[samples.answer_mask] = field.flatten()
    altered = replace(samples, labels=labels)
    pairs = zip(predict(model, altered).answers, altered.answers(), strict=True)
    assert [one == true for one, true in pairs] == [row % 2 == 0 for row in range(count)]


@pytest.mark.parametrize("count", [40, pytest.param(1_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("data", ["default", "default-spaced", "track"])
@pytest.mark.parametrize("recipe", [NEXT, GPT2], ids=["delta", "gpt2"])
def test_scratchpads_are_decoded_as_the_pipeline_does(recipe, data, count):
    recipe = recipe.changed(data=data, objective="scratchpad")
    model = alike(model_of(recipe))
    samples = sample(recipe.config, "validation", range(count))
    predicted = predict(model, samples)
    assert predicted.answers == decode(model, samples.questions())
    assert predicted.scratchpad_error_pct == 100
    assert len({*predicted.answers}) > 2  # a constant would prove little


def test_what_follows_a_mistake_is_decoded_and_what_was_right_stays():
    pads = sample("swap-nops5", "validation", range(60)).with_scratchpads()
    start = pads.completion_mask.argmax(1)

    class Errs(torch.nn.Module):
        """Knows the rows, but in each second one writes `%` for a letter of the first state.

        From there on it copies what stands six places before: the wrong state, again and again.
        """

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.config = type("Config", (), {"objective": "scratchpad"})
            self.rows = {bytes(row[:n]): row for row, n in zip(pads.labels, start, strict=True)}

        def forward(self, input_ids):
            written = torch.zeros_like(input_ids)
            for ids, out in zip(input_ids, written, strict=True):
                prompt = bytes(ids.tolist())[: bytes(ids.tolist()).index(b":", 6) + 1]
                row = torch.from_numpy(self.rows[prompt].astype(np.int64))[: len(ids) + 1]
                out[: len(row) - 1] = row[1:]
                if prompt[0] % 2:
                    out[len(prompt)] = ord("%")
                for place in (ids[: len(out)] == ord("%")).nonzero().flatten().tolist():
                    out[place + 5 :: 6] = ord("%")
            return torch.nn.functional.one_hot(written, 256).float() + self.weight

    predicted = predict(Errs(), pads)
    odd = [ord(question[0]) % 2 for question in pads.questions()]
    assert predicted.scratchpad_error_pct == 100 * sum(odd) / 60
    for is_odd, answer, reference in zip(odd, predicted.answers, pads.answers(), strict=True):
        assert answer == (reference[0] + "%" + reference[2:] if is_odd else reference)


def test_a_run_of_scratchpads_tells_both_errors_and_is_evaluated_where_there_are_states(tmp_path):
    flags = ["--recipe", "zoo-gpt2", "--objective", "scratchpad", "--curriculum", "0:1", "0.5:1-5"]
    flags += ["--max-samples", "128", "--num-validations", "1", "--samples-per-validation", "10"]
    done = train(*flags, "--final-samples", "10", "--output-dir", tmp_path / "run", cwd=tmp_path)
    assert "scratchpad error %" in done.stdout, done.stderr
    assert curve(tmp_path / "run")[-1]["scratchpad_error_pct"] == 100
    loaded = open_model(str(tmp_path / "run"))
    config = find_recipe("zoo-gpt2").config
    assert row_width(loaded, config) == config.row_width
    with pytest.raises(ValueError, match=r"this task has samples of none: use another task"):
        row_width(loaded, make_config("copy"))
    with pytest.raises(ValueError, match=r"reads rows of at most 256, those of this task have"):
        row_width(loaded, make_config("swap-nops5", nops=50))


@pytest.mark.parametrize(
    "model, objective",
    [
        ("swap-delta", "next-token"),
        ("zoo-bert", "scratchpad"),
        ("mixed-l6", "next-token"),
        ("zoo-gru", "next-token"),
    ],
)
def test_a_model_that_looks_ahead_is_refused_for_next_tokens(model, objective):
    recipe = find_recipe(model).changed(objective=objective, num_samples=640)
    words = r"looks ahead at position \d+; take a causal one"
    if model == "mixed-l6":  # a convolution that looks far ahead
        recipe = recipe.changed(model_args={"num_layers": 1, "dilation": [20]})
    if recipe.mixer:  # the layer is causal
        words = (
            r"the scaffold around the layer looks ahead at position \d+; add --model-args causal"
        )
    with pytest.raises(ValueError, match=words):
        check_recipe(recipe, 0, make_accelerator())


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"model_args": {"n_positions": 20}},
            "rows have up to 31 ids, max_position_embeddings is 20",
        ),
        ({"data": "track", "model_args": {"vocab_size": 256}}, "the data has 731 ids, so"),
    ],
)
def test_a_model_that_is_too_small_for_its_rows_is_told_what_they_need(changes, words):
    with pytest.raises(ValueError, match=words):
        check_recipe(find_recipe("zoo-gpt2").changed(**changes), 0, make_accelerator())


def test_a_checkpoint_of_tokens_says_its_layout_and_objective(tmp_path):
    recipe = NEXT.changed(data="track")
    model_of(recipe).save_pretrained(tmp_path)
    ask = pipeline("vsc", model=str(tmp_path), pipeline_class=VscPipeline)
    assert (ask.trained.layout, ask.trained.objective) == ("tokens", "next-token")
    assert ask.model.config.vocab_size == 731
    assert len(ask("ABCDE:1>2 3>4")["confidence"]) == 5


@pytest.mark.parametrize("table", ["renderings", "scratchpad"])
def test_every_row_of_the_tables_of_objectives_can_be_trained(table):
    for row in TABLES[table].rows:
        if row.recipe.objective != "fill":
            check_recipe(row.recipe, 0, make_accelerator())
