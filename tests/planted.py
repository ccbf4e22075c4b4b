"""Shared: checkpoints with code in them that leaves a mark where anything runs it."""

import json
import pickle
from pathlib import Path

MIXER = {"mixer": "torch.nn:GRU", "hidden_size": 8, "answer_width": 5}

AUTO_MAP = {"auto_map": {"AutoConfig": "evil.Config", "AutoModelForMaskedLM": "evil.Model"}}
GRU = "\nfrom torch.nn import GRU"
PLANTED = {
    "auto_map": ({"evil.py": ""}, AUTO_MAP),
    "auto_map of a foreign type": ({"evil.py": ""}, {**AUTO_MAP, "model_type": "other"}),
    "auto_map next to a layer's file": (
        {"evil.py": "", "mixer_layer.py": ""}, {**AUTO_MAP, "model_type": "other"},
    ),
    "layer's file": ({"mixer_layer.py": GRU}, {"mixer": "mixer_layer.py:GRU"}),
    "layer's file called as a library": ({"torch.py": GRU}, {"mixer": "{folder}/torch.py:GRU"}),
    "layer's module on the path": ({"evil.py": GRU}, {"mixer": "{folder.name}.evil:GRU"}),
    "function's file": (
        {
            "made_by.py": "\ndef make(): return None",
            "made_by.json": '{"made_by": "made_by.py:make", "arguments": {}}',
        },
        {},
    ),
    "pickled weights": ({"pytorch_model.bin": ""}, {}),
    "pipeline and tokenizer": (
        {
            "evil.py": "",
            "tokenizer_config.json": '{"tokenizer_class": "Evil", '
            '"auto_map": {"AutoTokenizer": ["evil.Evil", null]}}',
        },
        {"custom_pipelines": {"vsc": {"impl": "evil.Pipeline", "pt": ["AutoModelForMaskedLM"]}}},
    ),
}  # fmt: skip
"""All ways in which a checkpoint of a `vsc_mixer` with a layer of torch can bring code: its files,
after the code of those that are Python, and the fields of its config."""


class _Marks:
    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple:
        return exec, (self.code,)


def change_config(folder: Path | str, **entries: object) -> None:
    """Change fields of a checkpoint's config."""
    path = Path(folder, "config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def plant(folder: Path, kind: str, mark: Path) -> None:
    """Put code into a checkpoint that writes `mark` when it is run."""
    code, (files, entries) = f"open({str(mark)!r}, 'w').close()", PLANTED[kind]
    for name, text in files.items():
        (folder / name).write_text(code + text if name.endswith(".py") else text)
    if kind == "pickled weights":
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Marks(code)))
        (folder / "model.safetensors").unlink()
    mixer = {"mixer": str(entries["mixer"]).format(folder=folder)} if "mixer" in entries else {}
    change_config(folder, **{**entries, **mixer})
