"""Measure CPU seconds to the first step of a command, next to the import of its libraries.

transformers imports PreTrainedModel when it is first used: every model of it needs that time.
"""

from tempfile import TemporaryDirectory

from scripts.benchmarks import run_child
from vsc_dataset.configs import CONFIGS
from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM

ROUNDS = 3
TRAINED = [name for name in CONFIGS if CONFIGS[name].num_rows("train")]
SMALLEST = min(TRAINED, key=lambda name: CONFIGS[name].num_rows("train"))
LIBRARIES = "import torch, transformers, accelerate"
STEP = """
import sys, time
from scripts.{module} import {called}
def stop(*_, **__):
    print(time.process_time(), flush=True)
    raise SystemExit
sys.modules["scripts.{module}"].{called} = stop
sys.argv = ["{command}", {flags}]
from scripts.{command} import main
main()
"""
TRAIN = "'--recipe', 'swap-delta', '--output-dir', sys.argv[1] + '/run'"
CHILDREN = {
    LIBRARIES: LIBRARIES,
    "… and PreTrainedModel": f"{LIBRARIES}\nfrom transformers import PreTrainedModel",
    "train.py": STEP.format(
        command="train", flags=TRAIN, module="training.loop", called="train_step"
    ),
    "evaluate.py": STEP.format(
        command="evaluate", flags="sys.argv[1]", module="core.inference", called="logits_of"
    ),
    "import datasets": "import datasets",
    f"load_dataset('vsc', '{SMALLEST}')": (
        "import sys, datasets, vsc_dataset\n"
        f"datasets.load_dataset('vsc', '{SMALLEST}', cache_dir=sys.argv[1])"
    ),
}


def measure() -> list[dict[str, str | float]]:
    """Compare the least CPU seconds of each, started in turns."""
    seconds = dict.fromkeys(CHILDREN, float("inf"))
    for _ in range(ROUNDS):
        for name, code in CHILDREN.items():
            with TemporaryDirectory() as folder:
                VscDeltaForMaskedLM(VscDeltaConfig()).save_pretrained(folder)
                taken = run_child(f"{code}\nimport time; print(time.process_time())", folder)
            seconds[name] = min(seconds[name], taken)
    base = seconds[next(iter(seconds))]
    return [
        {"to the first step": name, "CPU s": round(taken, 2), "times": round(taken / base, 2)}
        for name, taken in seconds.items()
    ]
