"""The loop: what a step does, and that samples of the right split are evaluated."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import AutoTokenizer

from scripts.core.batches import logits_of, model_inputs
from scripts.core.inference import measure
from scripts.core.model_loading import load_model
from scripts.training import loop, run_report, trial_result
from scripts.training.distributed import make_accelerator
from scripts.training.loop import (
    check_recipe,
    make_model,
    make_scheduler,
    make_stream,
    stops_early,
    train_step,
)
from scripts.training.recipes import Recipe, find_recipe
from scripts.training.train_state import Job, RunOptions
from vsc_dataset import TrainingStream, sample

SHORT = {"num_samples": 128, "batch_size": 64, "num_validations": 1}
BASE = {"name": "x", "data": "swap-nops2", "model": "vsc_delta", "loss": "answer"}


def run_trial(recipe, folder, options=RunOptions(final_samples=100)):  # noqa: B008
    job = Job(recipe, 0, folder)
    return loop.run_trial(job, make_accelerator(recipe.mixed_precision), options)


def first_step(**settings):
    """One step of the optimizer: its loss, the gradients' norm, and the logits and labels."""
    recipe = Recipe(**{**BASE, **SHORT, **settings})
    accelerator = make_accelerator(recipe.mixed_precision)
    model, optimizer = make_model(recipe, 0, accelerator)
    norms = []
    optimizer.register_step_pre_hook(
        lambda *_: norms.append(torch.cat([p.grad.flatten() for p in model.parameters()]).norm())
    )
    batch = next(TrainingStream(recipe.config, recipe.batch_size))
    inputs, labels = model_inputs(model, batch, recipe.loss, accelerator.device)
    logits = logits_of(model, inputs)
    scheduler = make_scheduler(recipe, optimizer, 0)
    loss = train_step(model, batch, recipe, accelerator, optimizer, scheduler)
    return loss.item(), norms[0].item(), logits, labels


def test_a_step_clips_gradients_and_smooths_the_loss_as_the_recipe_says():
    assert first_step()[1] > 0.2
    loss, norm, logits, labels = first_step(max_grad_norm=0.1, label_smoothing=0.3)
    assert norm == pytest.approx(0.1, rel=1e-3)
    chances = logits.log_softmax(-1)
    right = chances.gather(-1, labels.unsqueeze(-1)).mean()
    assert loss == pytest.approx(-(0.7 * right + 0.3 * chances.mean()).item(), rel=1e-5)


def test_a_process_trains_recipes_of_different_precision():
    for precision in ("no", "bf16", "no"):
        assert make_accelerator(precision).mixed_precision == precision


def rates_from(begin):
    """The learning rates of a training that begins at a step."""
    recipe = Recipe(**{**BASE, "num_samples": 640, "warmup_steps": 4, "learning_rate": 0.1})
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler, rates = make_scheduler(recipe, optimizer, begin), []
    for _ in range(begin, recipe.num_steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_the_learning_rate_rises_falls_to_zero_and_goes_on_from_any_step():
    rates = rates_from(0)
    assert rates[:5] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert [rates_from(begin) for begin in (3, 7)] == [rates[3:], rates[7:]]


@pytest.mark.parametrize("begin", [0, 1, 4, 7])
def test_a_curriculum_gives_each_stage_its_samples_from_any_step(begin):
    recipe = find_recipe("swap-delta").changed(
        num_samples=640, curriculum=["0:1", "0.2:1-2", "0.4:5"]
    )
    batches = [*make_stream(recipe, 3, make_accelerator(), begin)]
    assert len(batches) == 10 - begin
    for step, batch in enumerate(batches, begin):
        nops = (1, 1) if step < 2 else (1, 2) if step < 4 else (5, 5)
        config = replace(recipe.config, nops=nops)
        there = sample(config, "train", range(64 * step, 64 * step + 64), 3)
        assert batch.questions() == there.questions()
        # As wide as this stage needs: padding costs time.
        assert batch.labels.shape[1] == 12 + 4 * nops[1] - 1
    assert {*batches[-1].nops.tolist()} == {5}


@pytest.fixture
def bf16():
    """accelerate's state, which knows one precision for a process, for this test alone."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield {"mixed_precision": "bf16"}
    AcceleratorState._reset_state(reset_partial_state=True)


def test_mixed_precision_computes_in_bf16_and_keeps_weights_in_float32(bf16):
    recipe = Recipe(**BASE, **SHORT, **bf16)
    accelerator = make_accelerator(recipe.mixed_precision)
    model, _ = make_model(recipe, 0, accelerator)
    kinds = set()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda *told: kinds.add(told[-1].dtype))
    batch = next(TrainingStream(recipe.config, recipe.batch_size))
    logits_of(model, model_inputs(model, batch, recipe.loss, accelerator.device)[0])
    assert kinds == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_trial_in_bf16_is_measured_as_its_checkpoint_is(bf16, tmp_path):
    recipe = Recipe(**BASE, **SHORT, **bf16)
    record = run_trial(recipe, tmp_path)
    samples = sample(recipe.config, "validation", range(100))
    assert measure(load_model(tmp_path / "model"), samples, recipe.loss).loss == record.val_loss
    assert AutoTokenizer.from_pretrained(tmp_path / "model")("A:\0")["input_ids"] == [65, 58, 0]


def test_a_trial_stops_early_where_the_recipe_says_and_when_it_resumes_too(tmp_path, monkeypatch):
    easy = {**BASE, "num_samples": 64 * 10, "num_validations": 10, "samples_per_validation": 10}
    stopping = Recipe(**easy, early_stop_pct=100.0, early_stop_validations=4)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "finish_trial", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_trial(stopping, tmp_path)
    record = run_trial(stopping, tmp_path)
    assert (record.samples, record.planned_samples) == (64 * 4, 640)


@pytest.mark.parametrize(
    "errors, stops",
    [((0.0, 2.0, 1.0, 0.5), True), ((0.0, 2.0, 1.0), False), ((0.5,), False)],
)
def test_a_trial_stops_when_the_newest_validations_are_good_enough(errors, stops):
    points = [{"sample_error_pct": error} for error in errors]
    recipe = Recipe(**BASE, early_stop_pct=1.0, early_stop_validations=2)
    assert stops_early(recipe, points) == stops
    assert not stops_early(Recipe(**BASE), points)


def test_a_checkpoint_is_written_when_it_is_long_since_the_last(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(loop.CheckpointFolder, "save", lambda _, state: saved.append(state.step))
    recipe = Recipe(**{**BASE, **SHORT, "num_samples": 64 * 60})
    for seconds, steps in ((0.0, [20, 40, 60]), (1e9, [60])):
        run_trial(recipe, tmp_path, RunOptions(checkpoint_seconds=seconds, final_samples=100))
        assert saved == steps
        saved.clear()


def test_every_split_is_measured_once_at_the_end(tmp_path, monkeypatch):
    measured = []
    for module in (loop, trial_result):
        original = module.measure_shared

        def spy(model, samples, *others, original=original, name=module.__name__):
            measured.append((name.rpartition(".")[2], len(samples)))
            return original(model, samples, *others)

        monkeypatch.setattr(module, "measure_shared", spy)
    recipe = Recipe(**BASE, **SHORT, model_args={"hidden_size": 16})
    record = run_trial(recipe, tmp_path / "seed-0", RunOptions())
    monkeypatch.setattr(run_report, "load_trained", lambda *_: 1 / 0)
    run_report.finish_run(recipe, tmp_path, [record])
    assert measured == [("loop", 100), ("trial_result", 10_000), ("trial_result", 10_000)]


def test_the_report_counts_all_samples_of_each_split(tmp_path):
    counts = {"num_validation": 100, "num_test": 300, "num_test_programs": 200}
    recipe = Recipe(**{**BASE, **SHORT, "data": "swap-nops1-5", "data_args": counts})
    record = run_trial(recipe, tmp_path / "seed-0", RunOptions())
    run_report.finish_run(recipe, tmp_path, [record])
    held_out = json.loads((tmp_path / "results.json").read_text())["held_out"]
    counts = {split: rates["questions"] for split, rates in held_out.items()}
    assert counts == {"test": 300, "test_programs": 200}


def test_the_report_of_a_trial_without_kept_answers_is_the_same(tmp_path):
    recipe = Recipe(**{**BASE, **SHORT, "data": "swap-nops2-5"})
    record = run_trial(recipe, tmp_path / "seed-0")
    told = run_report.finish_run(recipe, tmp_path, [record])
    kept = json.loads((tmp_path / "seed-0" / "model" / "answers.json").read_text())
    assert kept["validation"] != kept["by_nops"]
    (tmp_path / "seed-0" / "model" / "answers.json").unlink()
    assert run_report.finish_run(recipe, tmp_path, [record]) == told


def test_a_run_that_is_cut_off_at_its_end_is_not_taken_for_whole(tmp_path, monkeypatch):
    recipe = Recipe(**BASE, **SHORT)
    record = run_trial(recipe, tmp_path / "seed-0")
    # The second time as after more trials: the files of the first are there.
    for place, name in ((run_report.shutil, "copyfile"), (run_report, "answers_picture")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run_report.finish_run(recipe, tmp_path, [record])
        assert not (tmp_path / "results.json").exists(), name
        run_report.finish_run(recipe, tmp_path, [record])
        assert (tmp_path / "results.json").exists()
    assert load_model(tmp_path)


@pytest.mark.parametrize(
    "module, name",
    [(loop, "train_step"), (loop, "measure_shared"), (trial_result, "measure_shared")],
)
def test_a_loss_that_is_not_finite_is_one_clear_line(tmp_path, monkeypatch, module, name):
    original = getattr(module, name)

    def spy(*arguments):
        made = original(*arguments)
        return made * torch.inf if name == "train_step" else made._replace(loss=torch.inf)

    monkeypatch.setattr(module, name, spy)
    with pytest.raises(ValueError, match=r"the loss is inf after 128 samples: lower learning_rate"):
        run_trial(Recipe(**BASE, **SHORT), tmp_path)


def test_a_batch_that_processes_cannot_share_evenly_is_refused():
    three = SimpleNamespace(num_processes=3)
    with pytest.raises(ValueError, match="batch_size 64 cannot be shared evenly by 3 processes"):
        check_recipe(find_recipe("swap-delta"), 0, three)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1])
def test_swap_delta_solves_five_swaps(tmp_path, seed):
    accelerator = make_accelerator()
    record = loop.run_trial(Job(find_recipe("swap-delta"), seed, tmp_path), accelerator)
    assert record.sample_error_pct <= 0.5
    assert record.parameters <= 35_000
    assert record.samples <= 200_000


def test_it_is_told_where_evaluation_has_other_numbers_of_operations(capsys):
    other = Recipe(**{**BASE, **SHORT, "data": "swap-nops1-5", "data_args": {"nops": [1, 3]}})
    for recipe in (Recipe(**{**BASE, **SHORT}), other):
        check_recipe(recipe, 0, make_accelerator("no"))
    (told,) = [line for line in capsys.readouterr().out.splitlines() if "evaluated on" in line]
    assert told.startswith(
        "evaluated on 5 to 5 operations, trained on 1 to 3: --data-args eval_nops"
    )
