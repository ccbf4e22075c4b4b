"""The loop: what a step does, and that samples of the right split are evaluated."""

import json
from dataclasses import replace

import pytest
import torch
from accelerate.state import AcceleratorState

from scripts.core.batches import logits_of, model_inputs, takes_answer_positions
from scripts.core.inference import measure
from scripts.core.model_loading import load_model
from scripts.reporting import report
from scripts.training import loop, run_report, trial_result
from scripts.training.distributed import make_accelerator
from scripts.training.loop import make_model, make_scheduler, make_stream, stops_early, train_step
from scripts.training.model_factory import build_model
from scripts.training.recipes import Recipe, find_recipe
from scripts.training.train_state import Job, RunOptions
from vsc_dataset import TrainingStream, sample

SHORT = {"num_samples": 128, "batch_size": 64, "num_validations": 1}
BASE = {"name": "x", "data": "swap-nops2", "model": "vsc_delta", "loss": "answer"}


FEW = RunOptions(final_samples=100)


def run_trial(recipe, folder, options=FEW):
    job = Job(recipe, 0, folder)
    return loop.run_trial(job, make_accelerator(recipe.mixed_precision), options)


def first_step(**settings):
    """One step of the optimizer: the model before it, its loss, and the gradients' norm."""
    recipe = Recipe(**{**BASE, **SHORT, **settings})
    accelerator = make_accelerator(recipe.mixed_precision)
    model, optimizer = make_model(recipe, 0, accelerator, RunOptions())
    norms = []
    optimizer.register_step_pre_hook(
        lambda *_: norms.append(
            torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item()
        )
    )
    batch = next(TrainingStream(recipe.config, recipe.batch_size))
    scheduler = make_scheduler(recipe, optimizer, 0)
    loss = train_step(model, batch, recipe, accelerator, optimizer, scheduler)
    return model, loss.item(), norms[0]


def test_gradients_are_clipped_to_the_recipes_norm():
    assert first_step()[-1] > 0.2
    assert first_step(max_grad_norm=0.1)[-1] == pytest.approx(0.1, rel=1e-3)


def test_a_process_trains_recipes_of_different_precision():
    for precision in ("no", "bf16", "no"):
        assert make_accelerator(precision).mixed_precision == precision


def test_the_loss_is_smoothed_as_torch_does():
    recipe = Recipe(**{**BASE, **SHORT, "label_smoothing": 0.3})
    accelerator = make_accelerator()
    model, _ = make_model(recipe, 0, accelerator, RunOptions())
    batch = next(TrainingStream(recipe.config, recipe.batch_size))
    inputs, labels = model_inputs(model, batch, recipe.loss, accelerator.device)
    chances = logits_of(model, inputs).log_softmax(-1)
    right = chances.gather(-1, labels.unsqueeze(-1)).mean()
    expected = -(0.7 * right + 0.3 * chances.mean())
    _, loss, _ = first_step(label_smoothing=0.3)
    assert loss == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("begin", [0, 3, 7])
def test_the_learning_rate_ends_at_zero_and_begins_with_the_warm_up(begin):
    recipe = Recipe(**{**BASE, "num_samples": 640, "warmup_steps": 4, "learning_rate": 0.1})
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=recipe.learning_rate)
    reference = torch.optim.lr_scheduler.LambdaLR(
        optimizer, make_scheduler(recipe, optimizer, 0).lr_lambdas[0]
    )
    rates = []
    for _ in range(recipe.num_steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert rates[:5] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    # Begun at any step, the schedule goes on as if it had come there.
    scheduler = make_scheduler(recipe, optimizer, begin)
    again = []
    for _ in range(begin, recipe.num_steps + 1):
        again.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert again == rates[begin:]


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
        assert batch.labels.shape[1] == recipe.config.row_width
    assert {*batches[-1].nops.tolist()} == {5}


def test_a_loss_that_is_not_finite_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "train_step", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(ValueError, match="the loss is nan after 128 samples: lower --learning"):
        run_trial(Recipe(**{**BASE, **SHORT}), tmp_path)


def test_a_wrapped_model_keeps_logits_too():
    model = build_model(find_recipe("swap-delta"))
    assert takes_answer_positions(model)
    assert takes_answer_positions(torch.nn.parallel.DataParallel(model))
    assert not takes_answer_positions(torch.nn.Linear(2, 2))


@pytest.fixture
def bf16():
    """accelerate's state, which knows one precision for a process, for this test alone."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield {"mixed_precision": "bf16"}
    AcceleratorState._reset_state(reset_partial_state=True)


def test_mixed_precision_computes_in_bf16_and_keeps_weights_in_float32(bf16):
    recipe = Recipe(**BASE, **SHORT, **bf16)
    accelerator = make_accelerator(recipe.mixed_precision)
    model, _ = make_model(recipe, 0, accelerator, RunOptions())
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


def test_a_trial_stops_early_where_the_recipe_says_and_not_before(tmp_path):
    easy = {**BASE, "num_samples": 64 * 10, "num_validations": 10, "validation_questions": 10}
    never = run_trial(Recipe(**easy), tmp_path / "never")
    assert never.samples == never.planned_samples == 640
    stopping = Recipe(**easy, early_stop_pct=100.0, early_stop_validations=4)
    record = run_trial(stopping, tmp_path / "early")
    assert (record.samples, record.planned_samples) == (64 * 4, 640)
    errors = [{"sample_error_pct": error} for error in (0.0, 2.0, 1.0, 0.5)]
    recipe = Recipe(**easy, early_stop_pct=1.0, early_stop_validations=2)
    assert stops_early(recipe, errors)
    assert not stops_early(recipe, errors[:3])
    assert not stops_early(recipe, errors[-1:])


def test_a_trial_that_had_stopped_early_is_not_trained_on_when_it_resumes(tmp_path, monkeypatch):
    easy = {**BASE, "num_samples": 64 * 10, "num_validations": 10, "validation_questions": 10}
    recipe = Recipe(**easy, early_stop_pct=100.0, early_stop_validations=2)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "finish_trial", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_trial(recipe, tmp_path)
    assert run_trial(recipe, tmp_path).samples == 64 * 2


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
    monkeypatch.setattr(run_report, "load_model", lambda *_: 1 / 0)
    run_report.finish_run(recipe, tmp_path, [record])
    assert measured == [("loop", 100), ("trial_result", 10_000), ("trial_result", 10_000)]


def test_the_report_of_a_trial_without_kept_answers_is_the_same(tmp_path):
    recipe = Recipe(**{**BASE, **SHORT, "data": "swap-nops2-5"})
    record = run_trial(recipe, tmp_path / "seed-0")
    told = run_report.finish_run(recipe, tmp_path, [record])
    kept = json.loads((tmp_path / "seed-0" / "model" / "answers.json").read_text())
    assert kept["validation"] != kept["by_nops"]
    (tmp_path / "seed-0" / "model" / "answers.json").unlink()
    assert run_report.finish_run(recipe, tmp_path, [record]) == told


@pytest.mark.parametrize(
    "place, name", [(run_report.shutil, "copyfile"), (report, "answers_picture")]
)
def test_a_run_that_is_cut_off_at_its_end_is_not_taken_for_whole(
    tmp_path, monkeypatch, place, name
):
    recipe = Recipe(**BASE, **SHORT)
    record = run_trial(recipe, tmp_path / "seed-0")
    for attempt in range(2):  # again, as after more trials
        with monkeypatch.context() as patch:
            patch.setattr(place, name, lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run_report.finish_run(recipe, tmp_path, [record])
        assert not (tmp_path / "results.json").exists(), attempt
        run_report.finish_run(recipe, tmp_path, [record])
        assert (tmp_path / "results.json").exists()
    assert load_model(tmp_path)


@pytest.mark.parametrize("module", [loop, trial_result])
def test_a_validation_loss_that_is_not_finite_is_one_clear_line(tmp_path, monkeypatch, module):
    original = module.measure_shared

    def spy(*arguments):
        return original(*arguments)._replace(loss=float("inf"))

    monkeypatch.setattr(module, "measure_shared", spy)
    with pytest.raises(
        ValueError, match=r"the loss is inf after .* samples: lower --learning-rate"
    ):
        run_trial(Recipe(**BASE, **SHORT), tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1])
def test_swap_delta_solves_five_swaps(tmp_path, seed):
    accelerator = make_accelerator()
    record = loop.run_trial(Job(find_recipe("swap-delta"), seed, tmp_path), accelerator)
    assert record.sample_error_pct <= 0.5
    assert record.parameters <= 35_000
    assert record.samples <= 200_000
