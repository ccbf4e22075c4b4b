"""NUM_TRAIN STEPS FOLDER -> a tiny GPT-2, fine-tuned and then rewarded by the trainers of TRL."""

import sys

from datasets import load_dataset
from transformers import GPT2Config, GPT2LMHeadModel
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

import vsc_dataset
from vsc_models import make_tokenizer

if len(sys.argv) < 4:
    sys.exit(__doc__)
num_train, steps, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
sizes = {"num_train": num_train, "num_validation": 100, "num_test": 100, "num_test_programs": 100}
rows = load_dataset("vsc", "swap-nops2", columns="prompt-completion", **sizes)

tokenizer = make_tokenizer()
tokenizer.add_special_tokens({"eos_token": "<end>"})  # a completion ends with it
size = {"n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 64, "vocab_size": len(tokenizer)}
end = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
model = GPT2LMHeadModel(GPT2Config(**size, **end))

both = {"per_device_train_batch_size": 64, "report_to": "none", "save_strategy": "no"}
both |= {"bf16": False, "activation_checkpointing": False, "logging_steps": 1}
fine_tuning = SFTConfig(folder, num_train_epochs=1, learning_rate=5e-3, **both)
SFTTrainer(model, fine_tuning, train_dataset=rows["train"], processing_class=tokenizer).train()
rewarding = GRPOConfig(folder, max_steps=steps, max_completion_length=8, **both)
trainer = GRPOTrainer(
    model, vsc_dataset.reward, rewarding, rows["train"], processing_class=tokenizer
)
trainer.train()
print("reward of the last steps:", trainer.state.log_history[-2]["reward"])
