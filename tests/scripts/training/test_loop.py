"""The loop: what a step does, and that questions of the right split are asked."""

from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState

from scripts.core.batches import logits_of, model_inputs, takes_answer_positions
from scripts.core.inference import measure
from scripts.core.model_loading import load_model
from scripts.reporting import report
from scripts.training import outcome, run_report, trials
from scripts.training.distributed import make_accelerator
from scripts.training.loop import Progress, fit
from scripts.training.model_factory import build_model
from scripts.training.recipes import Recipe, find_recipe
from vsc_dataset import TrainingStream, sample

SHORT = {"num_samples": 128, "batch_size": 64, "num_validations": 1}
BASE = {"name": "x", "data": "swap-nops2", "model": "vsc_delta", "loss": "answer"}


def step(**settings) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Gradients and learning-rate-sized changes of one step."""
    recipe = Recipe(**{**BASE, **SHORT, **settings})
    accelerator = make_accelerator()
    torch.manual_seed(0)
    trainee = trials.make_trainee(recipe, accelerator)
    seen = []
    trainee.optimizer.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append([p.grad.clone() for p in trainee.model.parameters()])
    )
    stream = TrainingStream(recipe.config, recipe.batch_size)
    before = [p.detach().clone() for p in trainee.model.parameters()]
    list(fit(trainee, stream, recipe, accelerator, Progress()))
    after = [p.detach() for p in trainee.model.parameters()]
    return seen[0], [a - b for a, b in zip(after, before, strict=True)]


def norm(tensors: list[torch.Tensor]) -> float:
    return torch.cat([tensor.flatten() for tensor in tensors]).norm().item()


def test_gradients_are_clipped_to_the_recipes_norm():
    free, _ = step()
    assert norm(free) > 0.2
    clipped, _ = step(max_grad_norm=0.1)
    assert norm(clipped) == pytest.approx(0.1, rel=1e-3)


def test_pieces_that_the_launcher_asks_for_teach_as_those_of_the_flag(monkeypatch):
    whole, _ = step()
    flag, _ = step(gradient_accumulation_steps=4)
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    launched, _ = step(gradient_accumulation_steps=4)
    for one, other, all_at_once in zip(flag, launched, whole, strict=True):
        assert torch.equal(one, other)
        assert torch.allclose(one, all_at_once, atol=1e-6)


def test_a_process_trains_recipes_of_different_precision():
    for precision in ("no", "bf16", "no"):
        accelerator = make_accelerator(mixed_precision=precision)
        assert accelerator.mixed_precision == precision
        assert make_accelerator().mixed_precision == precision


def test_the_loss_is_smoothed_as_torch_does():
    recipe = Recipe(**{**BASE, **SHORT, "num_samples": 64, "label_smoothing": 0.3})
    accelerator = make_accelerator()
    torch.manual_seed(0)
    trainee = trials.make_trainee(recipe, accelerator)
    batch = next(TrainingStream(recipe.config, recipe.batch_size))
    inputs, labels = model_inputs(trainee.model, batch, recipe.loss, accelerator.device)
    logits = logits_of(trainee.model, inputs)
    chances = logits.log_softmax(-1)
    right = chances.gather(-1, labels.unsqueeze(-1)).mean()
    expected = -(0.7 * right + 0.3 * chances.mean())
    stream = TrainingStream(recipe.config, recipe.batch_size)
    (point,) = fit(trainee, stream, recipe, accelerator, Progress())
    assert point.train_loss == pytest.approx(expected.item(), rel=1e-5)


def test_the_learning_rate_ends_at_zero_and_begins_with_the_warm_up():
    recipe = Recipe(**{**BASE, "num_samples": 640, "warmup_steps": 4, "learning_rate": 0.1})
    trainee = trials.make_trainee(recipe, make_accelerator())
    rates = []
    for _ in range(recipe.num_steps):
        rates.append(trainee.scheduler.get_last_lr()[0])
        trainee.optimizer.step()
        trainee.scheduler.step()
    assert rates[:5] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])
    assert trainee.scheduler.get_last_lr()[0] == pytest.approx(0, abs=1e-9)
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_a_loss_that_is_no_number_is_a_clear_error():
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) after \d+ samples: lower"):
        step(num_samples=64 * 400, learning_rate=1e30)


def test_a_wrapped_model_keeps_logits_too():
    model = build_model(find_recipe("swap-delta"))
    assert takes_answer_positions(model)
    assert takes_answer_positions(torch.nn.parallel.DataParallel(model))
    assert not takes_answer_positions(torch.nn.Linear(2, 2))


@pytest.fixture
def bf16(monkeypatch):
    """accelerate's state, which knows one precision for a process, for this test alone."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield {"mixed_precision": "bf16"}
    AcceleratorState._reset_state(reset_partial_state=True)


def test_mixed_precision_computes_in_bf16_and_keeps_weights_in_float32(bf16):
    recipe = Recipe(**BASE, **SHORT, **bf16)
    accelerator = make_accelerator(mixed_precision=recipe.mixed_precision)
    trainee = trials.make_trainee(recipe, accelerator)
    kinds = set()
    for module in trainee.model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda *said: kinds.add(said[-1].dtype))
    stream = TrainingStream(recipe.config, recipe.batch_size)
    (point,) = [asdict(p) for p in fit(trainee, stream, recipe, accelerator, Progress())]
    assert kinds == {torch.bfloat16}
    assert {p.dtype for p in trainee.model.parameters()} == {torch.float32}
    assert 4 < point["train_loss"] < 8


def test_a_trial_in_bf16_is_measured_as_its_checkpoint_is(bf16, tmp_path):
    recipe = Recipe(**BASE, **SHORT, **bf16)
    record = trials.run_trial(recipe, 0, tmp_path, "x")
    questions = sample(recipe.config, "validation", range(10_000))
    found = measure(load_model(tmp_path / "model"), questions, recipe.loss)
    assert found.loss == record.val_loss


def test_a_trial_stops_early_where_the_recipe_says_and_not_before(tmp_path):
    easy = {**BASE, "num_samples": 64 * 10, "num_validations": 10, "validation_questions": 10}
    never = trials.run_trial(Recipe(**easy), 0, tmp_path / "never", "x")
    assert never.samples == never.planned_samples == 640
    stopping = Recipe(**easy, early_stop_pct=100.0, early_stop_validations=4)
    record = trials.run_trial(stopping, 0, tmp_path / "early", "x")
    assert (record.samples, record.planned_samples) == (64 * 4, 640)
    errors = [{"sample_error_pct": error} for error in (0.0, 2.0, 1.0, 0.5)]
    recipe = Recipe(**easy, early_stop_pct=1.0, early_stop_validations=2)
    assert trials.stops_early(recipe, errors)
    assert not trials.stops_early(recipe, errors[:3])
    assert not trials.stops_early(recipe, errors[-1:])


def test_a_trial_that_had_stopped_early_is_not_trained_on_when_it_resumes(tmp_path, monkeypatch):
    easy = {**BASE, "num_samples": 64 * 10, "num_validations": 10, "validation_questions": 10}
    recipe = Recipe(**easy, early_stop_pct=100.0, early_stop_validations=2)
    monkeypatch.setattr(trials.outcome, "make_record", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trials.run_trial(recipe, 0, tmp_path, "x")
    monkeypatch.undo()
    assert trials.run_trial(recipe, 0, tmp_path, "x").samples == 64 * 2


def test_a_checkpoint_is_written_when_it_is_long_since_the_last(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(trials.checkpoints, "save", lambda _, __, p, *___: saved.append(p.step))
    recipe = Recipe(**{**BASE, **SHORT, "num_samples": 64 * 60})
    for seconds, steps in ((0.0, [20, 40, 60]), (1e9, [60])):
        trials.run_trial(recipe, 0, tmp_path, "x", trials.Settings(checkpoint_seconds=seconds))
        assert saved == steps
        saved.clear()


def test_a_model_on_the_way_is_left_for_the_hub_at_every_validation(tmp_path):
    found = []

    def push(folder):
        weights = load_model(folder).state_dict()
        found.append((folder, sum(weight.sum().item() for weight in weights.values())))

    recipe = Recipe(**{**BASE, **SHORT, "num_validations": 2, "validation_questions": 10})
    trials.run_trial(recipe, 0, tmp_path, "x", trials.Settings(push=push))
    assert [folder for folder, _ in found] == [tmp_path / "model"] * 2
    assert len({total for _, total in found}) == 2


def test_test_questions_are_asked_once_at_the_end(tmp_path, monkeypatch):
    asked = []
    for room in (trials, outcome, run_report):
        original = room.sample

        def spy(config, split, indices, original=original, room=room):
            asked.append((room.__name__.rpartition(".")[2], split, len(indices)))
            return original(config, split, indices)

        monkeypatch.setattr(room, "sample", spy)
    recipe = Recipe(**BASE, **SHORT)
    record = trials.run_trial(recipe, 0, tmp_path / "seed-0", "x")
    run_report.finish_run(recipe, tmp_path, [record])
    assert asked == [
        ("trials", "validation", 100),
        ("outcome", "validation", 10_000),
        ("outcome", "test", 10_000),
        ("results", "validation", 10_000),
        ("results", "validation", 10_000),
    ]


@pytest.mark.parametrize("cut", ["run_report.shutil.copyfile", "report.answers_picture"])
def test_a_run_that_is_cut_off_at_its_end_is_not_taken_for_whole(tmp_path, monkeypatch, cut):
    recipe = Recipe(**BASE, **SHORT)
    record = trials.run_trial(recipe, 0, tmp_path / "seed-0", "x")
    place = {"run_report": run_report, "report": report}[cut.partition(".")[0]]
    with monkeypatch.context() as patch:
        patch.setattr(f"{place.__name__}.{cut.partition('.')[2]}", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_report.finish_run(recipe, tmp_path, [record])
    assert not (tmp_path / "results.json").exists()
    run_report.finish_run(recipe, tmp_path, [record])
    assert (tmp_path / "results.json").exists()
    assert load_model(tmp_path)
    monkeypatch.setattr(f"{place.__name__}.{cut.partition('.')[2]}", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # again, as behind more trials
        run_report.finish_run(recipe, tmp_path, [record])
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("kind", ["on the way", "at the end"])
def test_a_validation_loss_that_is_no_number_is_one_clear_line(tmp_path, monkeypatch, kind):
    room = trials if kind == "on the way" else outcome
    original = room.measure_shared

    def spy(*arguments):
        return original(*arguments)._replace(loss=float("inf"))

    monkeypatch.setattr(room, "measure_shared", spy)
    with pytest.raises(ValueError, match=r"the loss is inf after .* samples: lower learning_rate"):
        trials.run_trial(Recipe(**BASE, **SHORT), 0, tmp_path, "x")


def test_half_precision_that_a_cpu_does_not_have_is_refused(monkeypatch):
    cpu = SimpleNamespace(device=torch.device("cpu"), num_processes=1)
    monkeypatch.setattr(trials, "make_accelerator", lambda **_: cpu)
    with pytest.raises(ValueError, match="mixed_precision fp16 does nothing on a CPU: use bf16"):
        trials.check(Recipe(**BASE, **SHORT, mixed_precision="fp16"))


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1])
def test_swap_delta_solves_five_swaps(tmp_path, seed):
    record = trials.run_trial(find_recipe("swap-delta"), seed, tmp_path, "soak")
    assert record.sample_error_pct <= 0.5
    assert record.parameters <= 35_000
    assert record.samples <= 200_000
