"""NUM_TRAIN FOLDER -> this data and metric in `transformers.Trainer`, in place of our loop."""

import sys

import numpy as np
from transformers import AutoModelForMaskedLM, EvalPrediction, Trainer, TrainingArguments

import vsc_models
from vsc_dataset import Examples, sample
from vsc_dataset.metrics.vsc_error.error_rates import error_rates


def rows(examples: Examples) -> list[dict[str, np.ndarray]]:
    """A dict for each question; labels outside its answer field are -100, which is ignored."""
    labels = np.where(examples.answer_mask, examples.labels, np.int64(-100))
    inputs = examples.input_ids.astype(np.int64)
    return [{"input_ids": i, "labels": a} for i, a in zip(inputs, labels, strict=True)]


def metric(found: EvalPrediction) -> dict[str, float]:
    """Sample and mask error in percent; every answer field has five bytes."""
    answer = found.label_ids != -100
    texts = [ids[answer].reshape(-1, 5) for ids in (found.predictions.argmax(-1), found.label_ids)]
    texts = [[bytes(row.tolist()).decode("latin-1") for row in answers] for answers in texts]
    return {k: v for k, v in error_rates(*texts, answer_width=5).items() if k.endswith("_pct")}


settings = {"per_device_train_batch_size": 64, "num_train_epochs": 1, "report_to": "none"}
settings |= {"learning_rate": 8e-3, "adam_beta2": 0.98, "warmup_steps": 100}
trainer = Trainer(
    AutoModelForMaskedLM.from_config(vsc_models.VscDeltaConfig(answer_width=5)),
    TrainingArguments(sys.argv[2], **settings),
    train_dataset=rows(sample("swap-nops1-5", "train", range(int(sys.argv[1])))),
    eval_dataset=rows(sample("swap-nops1-5", "validation", range(1000))),
    compute_metrics=metric,
)
trainer.train()
print(trainer.evaluate())
