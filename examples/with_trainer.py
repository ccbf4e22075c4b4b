"""NUM_TRAIN FOLDER [next-token] -> this data and metric in transformers' Trainer; GPT-2 is causal.

Without `next-token`, a masked model: our scaffold around the delta rule.
"""

import sys

import transformers

import vsc_models
from vsc_dataset import sample
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.torch_stream import Collator

if len(sys.argv) < 3:
    sys.exit(__doc__)
num_train, folder, objective = int(sys.argv[1]), sys.argv[2], (*sys.argv[3:], "fill")[0]
is_causal = objective == "next-token"
form = {"objective": objective, "answer_width": 5}  # which evaluate.py and the pipeline read
transformers.set_seed(0)
if is_causal:
    size = {"vocab_size": 256, "n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 64}
    model = transformers.AutoModelForCausalLM.from_config(transformers.GPT2Config(**size, **form))
else:
    model = transformers.AutoModelForMaskedLM.from_config(vsc_models.VscDeltaConfig(**form))


def metric(evaluated: transformers.EvalPrediction) -> dict[str, float]:
    """Sample and mask error in percent; every answer field has five bytes."""
    predictions, labels = evaluated.predictions.argmax(-1), evaluated.label_ids
    if is_causal:  # the logits at a position are of the next byte
        predictions, labels = predictions[:, :-1], labels[:, 1:]
    texts = [ids[labels != -100].reshape(-1, 5).tolist() for ids in (predictions, labels)]
    texts = [[bytes(row).decode("latin-1") for row in answers] for answers in texts]
    return {k: v for k, v in error_rates(*texts, answer_width=5).items() if k.endswith("_pct")}


settings = {"per_device_train_batch_size": 64, "num_train_epochs": 1, "report_to": "none"}
settings |= {"learning_rate": 8e-3, "adam_beta2": 0.98, "warmup_steps": 100}
trainer = transformers.Trainer(
    model,
    transformers.TrainingArguments(folder, remove_unused_columns=False, **settings),
    Collator("swap-nops1-5", objective),
    train_dataset=list(sample("swap-nops1-5", "train", num_train)),
    eval_dataset=list(sample("swap-nops1-5", "validation", 1000)),
    compute_metrics=metric,
)
trainer.train()
print(trainer.evaluate())
