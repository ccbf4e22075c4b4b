"""The loop: what a step does, and that questions of the right split are asked."""

import pytest
import torch

from scripts.evaluation.inputs import keeps_logits
from scripts.training import results, trials
from scripts.training.loop import Progress, fit
from scripts.training.processes import make_accelerator
from scripts.training.recipes import Recipe, find_recipe
from vsc_dataset import TrainingStream

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
    model = trials.build_model(find_recipe("swap-delta"))
    assert keeps_logits(model)
    assert keeps_logits(torch.nn.parallel.DataParallel(model))
    assert not keeps_logits(torch.nn.Linear(2, 2))


def test_test_questions_are_asked_once_at_the_end(tmp_path, monkeypatch):
    asked = []
    for room in (trials, results):
        original = room.sample

        def spy(config, split, indices, original=original, room=room):
            asked.append((room.__name__.rpartition(".")[2], split, len(indices)))
            return original(config, split, indices)

        monkeypatch.setattr(room, "sample", spy)
    recipe = Recipe(**BASE, **SHORT)
    record = trials.run_trial(recipe, 0, tmp_path / "seed-0", "x")
    results.finish_run(recipe, tmp_path, [record])
    assert asked == [
        ("trials", "validation", trials.WAY_QUESTIONS),
        ("trials", "validation", 10_000),
        ("trials", "test", 10_000),
        ("results", "validation", 10_000),
        ("results", "validation", 10_000),
    ]


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1])
def test_swap_delta_solves_five_swaps(tmp_path, seed):
    record = trials.run_trial(find_recipe("swap-delta"), seed, tmp_path, "soak")
    assert record.sample_error_pct <= 0.5
    assert record.parameters <= 35_000
    assert record.samples <= 200_000
