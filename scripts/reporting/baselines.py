"""Measure the trivial baselines on the first samples of a split."""

from functools import lru_cache

from scripts.reporting.tables import both_errors
from vsc_dataset import sample
from vsc_dataset.configs import TaskConfig
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines


@lru_cache(maxsize=8)
def baseline_errors(config: TaskConfig, split: str, count: int) -> dict[str, dict[str, float]]:
    """Compute sample and mask error, in percent, of answers that need no model, by their names.

    >>> from vsc_dataset.configs import make_config
    >>> baseline_errors(make_config("copy"), "test", 100)["copy"]
    {'sample_error_pct': 0.0, 'mask_error_pct': 0.0}
    """
    questions = sample(config, split, range(count)).questions()
    rates = trivial_baselines(questions, config.answer_width)
    return {name: both_errors(errors) for name, errors in rates.items()}
