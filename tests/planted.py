"""Shared: checkpoints with code in them that leaves a mark where anything runs it."""

import json
import pickle
from pathlib import Path

MIXER = {"mixer": "torch.nn:GRU", "hidden_size": 8, "answer_width": 5}


class _Marks:
    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple:
        return exec, (self.code,)


def _config(folder: Path, **entries: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def _auto_map(folder: Path, code: str, **entries: object) -> None:
    (folder / "evil.py").write_text(code)
    classes = {"AutoConfig": "evil.Config", "AutoModelForMaskedLM": "evil.Model"}
    _config(folder, auto_map=classes, **entries)


def _foreign(folder: Path, code: str) -> None:
    _auto_map(folder, code, model_type="other")


def _foreign_with_layer_file(folder: Path, code: str) -> None:
    (folder / "mixer_layer.py").write_text(code)
    _foreign(folder, code)


def _layer_file(folder: Path, code: str) -> None:
    (folder / "mixer_layer.py").write_text(code + "\nfrom torch.nn import GRU")
    _config(folder, mixer="mixer_layer.py:GRU")


def _layer_elsewhere(folder: Path, code: str) -> None:
    (folder / "torch.py").write_text(code + "\nfrom torch.nn import GRU")
    _config(folder, mixer=f"{folder}/torch.py:GRU")


def _layer_module(folder: Path, code: str) -> None:
    (folder / "evil_layer.py").write_text(code + "\nfrom torch.nn import GRU")
    _config(folder, mixer=f"{folder.name}.evil_layer:GRU")


def _function(folder: Path, code: str) -> None:
    (folder / "made_by.py").write_text(code + "\ndef make(): return None")
    (folder / "made_by.json").write_text('{"made_by": "made_by.py:make", "arguments": {}}')


def _pickle(folder: Path, code: str) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Marks(code)))
    (folder / "model.safetensors").unlink()


def _pipeline(folder: Path, code: str) -> None:
    (folder / "evil.py").write_text(code)
    own = {"impl": "evil.Pipeline", "pt": ["AutoModelForMaskedLM"]}
    _config(folder, custom_pipelines={"vsc": own})
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", null]}}'
    )


PLANTED = {
    "auto_map": _auto_map,
    "auto_map of a foreign type": _foreign,
    "auto_map next to a layer's file": _foreign_with_layer_file,
    "layer's file": _layer_file,
    "layer's file called as a library": _layer_elsewhere,
    "layer's module on the path": _layer_module,
    "function's file": _function,
    "pickled weights": _pickle,
    "pipeline and tokenizer": _pipeline,
}
"""All ways in which a checkpoint of a `vsc_mixer` with a layer of torch can bring code."""


def plant(folder: Path, kind: str, mark: Path) -> None:
    """Put code into a checkpoint that writes `mark` when it is run."""
    PLANTED[kind](folder, f"open({str(mark)!r}, 'w').close()")
