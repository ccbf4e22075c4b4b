"""A layer of one's own: it learns in the scaffold, and comes back from a checkpoint."""

import json
import logging
import shutil
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForMaskedLM, pipeline

from tests.planted import change_config
from tests.vsc_models import own_layers
from tests.vsc_models.questions import QUESTIONS, close, logits, rows
from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM, VscMixerConfig, VscMixerForMaskedLM
from vsc_models.import_utils import make_layer
from vsc_models.modeling_delta import VscDeltaLayer

FILE = own_layers.__file__
GOOD = ("Causal", "SeesBothWays", "GivesTuple", "OwnNames", "WithBuffers")


def model_with(name, seed=0, **fields):
    """A model around a layer of own_layers, or one that is given by its whole place."""
    torch.manual_seed(seed)
    place = name if ":" in name else f"{FILE}:{name}"
    return VscMixerForMaskedLM(VscMixerConfig(mixer=place, **fields)).eval()


@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("name", GOOD)
def test_every_weight_of_a_layer_learns(name, direction):
    model, (ids, keep) = model_with(name, direction=direction), rows()
    model(input_ids=ids, labels=ids.clamp(65), answer_positions=keep).loss.backward()
    assert not [n for n, w in model.named_parameters() if w.grad is None or not w.grad.any()]


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("name", ["Causal", "SeesBothWays"])
def test_a_layer_meets_no_padding_but_zeros(name, direction, num_layers):
    model, (ids, keep) = model_with(name, direction=direction, num_layers=num_layers), rows()
    together = logits(model, input_ids=ids, answer_positions=keep)
    for question, row in zip(QUESTIONS, together, strict=True):
        alone, place = rows([question], length=len(question) + 5)
        assert close(row, logits(model, input_ids=alone, answer_positions=place)[0])


def test_a_function_of_a_file_makes_layers_which_are_numbered_and_stacked():
    model = model_with("make_layer", num_layers=2, direction="both").model
    assert [layer.number for layer in model.mixer] == [0, 1, 0, 1]
    model = model_with("make_layer", mixer_args={"bias": 3.0}, num_layers=2).model
    assert all((layer.bias == 3).all() for layer in model.mixer)
    x = torch.randn(2, 6, 32)
    first = model.mixer[0](x)
    second = model.mixer[1](nn.functional.layer_norm(x + first, (32,)))
    assert close(model.mix(x, x, None, None), first + second)


def test_the_second_layer_reads_each_row_from_its_end():
    model = model_with("Causal", direction="both").model
    x = torch.randn(2, 6, 32)
    real = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    mixed = model.mix(x, x, real, None)
    for row, length in enumerate((6, 4)):
        part = x[row : row + 1, :length]
        wanted = model.mixer[0](part) + model.mixer[1](part.flip(1)).flip(1)
        assert close(mixed[row, :length], wanted[0])


def test_a_layer_keeps_its_own_initialization():
    (layer,) = model_with("Causal").model.mixer
    assert torch.equal(layer.proj.weight, torch.eye(32))
    assert torch.equal(layer.proj.bias, torch.full((32,), 2.0))


@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("name", [*GOOD, "Complex"])
def test_a_checkpoint_keeps_the_layer_and_its_file(name, direction, tmp_path):
    model = model_with(name, seed=3, direction=direction, hidden_size=16)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) / 10)
    model.save_pretrained(tmp_path)
    assert model.config.mixer == f"{FILE}:{name}"
    assert json.loads((tmp_path / "config.json").read_text())["mixer"] == f"mixer_layer.py:{name}"
    assert (tmp_path / "mixer_layer.py").read_bytes() == Path(FILE).read_bytes()
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path, trust_remote_code=True)
    ids, _ = rows()
    assert torch.equal(logits(model, input_ids=ids), logits(loaded, input_ids=ids))
    loaded.save_pretrained(tmp_path / "again")
    again = AutoModelForMaskedLM.from_pretrained(tmp_path / "again", trust_remote_code=True)
    assert torch.equal(logits(model, input_ids=ids), logits(again, input_ids=ids))


def test_a_checkpoint_is_loaded_in_the_type_that_it_has_or_that_is_named(tmp_path):
    model = model_with("OwnNames").bfloat16()
    model.save_pretrained(tmp_path)
    load = partial(AutoModelForMaskedLM.from_pretrained, tmp_path, trust_remote_code=True)
    state = torch.get_rng_state()
    assert {w.dtype for w in load().parameters()} == {torch.bfloat16}
    assert torch.equal(torch.get_rng_state(), state)
    for dtype in (torch.float32, "float32"):
        assert {w.dtype for w in load(dtype=dtype).parameters()} == {torch.float32}
    tied = load(device_map="cpu").model.mixer[0]
    assert tied.again.weight is tied.model.weight


def test_the_file_is_kept_as_it_was_built(tmp_path):
    path = tmp_path / "mine.py"
    shutil.copyfile(FILE, path)
    model = model_with(f"{path}:Causal", mixer_args={"gain": 3.0})
    path.write_text("broken")
    model.save_pretrained(tmp_path / "checkpoint")
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path / "checkpoint", trust_remote_code=True)
    assert torch.equal(loaded.model.mixer[0].proj.bias, torch.full((32,), 3.0))
    path.unlink()
    path.write_text(Path(FILE).read_text().replace("nn.init.eye_", "nn.init.zeros_"))
    assert not model_with(f"{path}:Causal").model.mixer[0].proj.weight.any()


def test_a_signal_while_a_layer_is_made_is_no_fault_of_the_layer():
    with pytest.raises(SystemExit) as stopped:
        model_with("IsStopped")
    assert stopped.value.code == 143


def test_fields_of_the_configuration_may_be_given_to_from_pretrained(tmp_path):
    model_with("torch.nn:GRU").save_pretrained(tmp_path)
    for model_class in (AutoModelForMaskedLM, VscMixerForMaskedLM):
        config = model_class.from_pretrained(tmp_path, mask_padding=False, answer_width=7).config
        assert (config.mask_padding, config.answer_width) == (False, 7)


@pytest.mark.parametrize("model_class", [AutoModelForMaskedLM, VscMixerForMaskedLM])
def test_code_of_a_checkpoint_runs_only_on_request(model_class, tmp_path):
    model_with("Causal").save_pretrained(tmp_path)
    (tmp_path / "mixer_layer.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ValueError, match="trust_remote_code=True") as error:
        model_class.from_pretrained(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


LOADERS = {
    "auto": AutoModelForMaskedLM.from_pretrained,
    "ours": VscMixerForMaskedLM.from_pretrained,
    "pipeline": lambda folder: pipeline("vsc", model=folder, device="cpu"),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("module", ["mine.layers", "fla.layers", "torch.mine", "checkpoint.layers"])
def test_a_module_that_a_checkpoint_names_is_not_imported_from_the_working_folder(
    loader, module, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    model_with("torch.nn:GRU").save_pretrained("checkpoint")
    change_config("checkpoint", mixer=f"{module}:GRU", mixer_version=None)
    planted = Path(module.replace(".", "/") + ".py")
    planted.parent.mkdir(exist_ok=True)
    for path in (planted, planted.with_name("__init__.py")):
        path.write_text("open('it-ran', 'w')\nfrom torch.nn import GRU\n")
    wanted = "has no module 'torch.mine'" if module == "torch.mine" else "trust_remote_code=True"
    with pytest.raises(ValueError, match=wanted):
        LOADERS[loader]("checkpoint")
    assert not Path("it-ran").exists()


def test_a_layer_from_a_package_needs_no_trust_and_tells_its_version(tmp_path, caplog):
    model = model_with("torch.nn:GRU")
    assert model.config.mixer_version == "torch " + version("torch")
    model.save_pretrained(tmp_path)
    AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    change_config(tmp_path, mixer_version="torch 1.0")
    AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert "torch.nn:GRU was of torch 1.0, here it is of torch 2" in caplog.text


def test_the_scaffold_adds_no_parameters_to_the_delta_rule(monkeypatch):
    class Delta(nn.Module):
        def __init__(self, hidden_size):
            super().__init__()
            self.layer = VscDeltaLayer(VscDeltaConfig(hidden_size=hidden_size))

        def forward(self, x):
            return self.layer(x, x, None, None)

    monkeypatch.setattr(own_layers, "Delta", Delta, raising=False)
    mixer = model_with(f"{own_layers.__name__}:Delta")
    delta = VscDeltaForMaskedLM(VscDeltaConfig()).eval()
    assert mixer.num_parameters() == delta.num_parameters()
    weights = delta.state_dict()
    mixer.load_state_dict({n.replace("mixer.", "mixer.0.layer."): weights[n] for n in weights})
    ids, keep = rows()
    assert close(*(logits(m, input_ids=ids, answer_positions=keep) for m in (mixer, delta)))


@pytest.mark.parametrize("name", ["hidden_size", "d_model", "dim", "input_size", "n_embd", "width"])
def test_the_hidden_size_goes_by_the_name_that_the_layer_has(name, tmp_path):
    path = tmp_path / "layer.py"
    path.write_text(
        "from torch import nn\n"
        "class Layer(nn.Linear):\n"
        f"    def __init__(self, *, {name}, out=None):\n"
        f"        super().__init__({name}, out or {name})\n"
    )
    assert make_layer(f"{path}:Layer", {}, 24).in_features == 24
    assert make_layer(f"{path}:Layer", {name: 8, "out": 24}, 24).in_features == 8


def test_a_recurrent_layer_of_torch_reads_batches_first():
    layer = make_layer("torch.nn:LSTM", {"num_layers": 2}, 12)
    assert (layer.input_size, layer.hidden_size, layer.batch_first) == (12, 12, True)


@pytest.mark.parametrize(
    "name, words",
    [
        ("GivesDict", "GivesDict gives a dict: a mixer gives a tensor, or a tu"),
        ("Doubles", r"Doubles gives torch.float64 for torch.float32"),
        ("Shrinks", r"Shrinks gives shape \(3, 31, 16\) for \(3, 31, 32\)"),
    ],
)
def test_a_layer_that_gives_something_else_is_refused(name, words):
    with pytest.raises(ValueError, match=words):
        model_with(name)(input_ids=rows()[0])


@pytest.mark.parametrize(
    "place, arguments, words",
    [
        (
            "Raises",
            {"depth": 7},
            "(hidden_size=32, depth=7) raised RuntimeError: no depth 7 here (in ",
        ),
        ("Quits", {}, "Quits() raised SystemExit: 0"),
        ("Causl", {}, "has no 'Causl': did you mean 'Causal'?"),
        ("Causal", {"gian": 1}, "has no argument 'gian': did you mean 'gain'?"),
        ("torch", {}, "is not a torch.nn.Module: name the class of a layer"),
        (FILE.replace("own_layers", "own_layer") + ":Causal", {}, f"did you mean {FILE!r}?"),
        (FILE, {}, "is not a target: use FILE.py:NAME or package.module:NAME"),
        ("fla.layers:DeltaNet", {}, "pip install flash-linear-attention"),
        ("nowhere.layers:GRU", {}, "which is not installed: install what provides it"),
        ("torch.nnn:GRU", {}, "package 'torch' has no module 'torch.nnn'"),
        ("torch.nn:GRUU", {}, "torch.nn has no 'GRUU': did you mean 'GRU'?"),
        ("torch.nn:GRU", {"num_layer": 2}, "did you mean 'num_layers'?"),
        ("subprocess:Popen", {"args": "true"}, "is not a torch.nn.Module"),  # it would run
        ("torch.hub:load", {"repo_or_dir": "me/mine"}, "torch.hub:load is not a torch.nn.Module"),
        ("Numbered", {}, "needs config, a config object: write a function"),
        ("make_nothing", {}, "returns int, not a torch.nn.Module"),
    ],
)
def test_a_mistake_is_one_clear_line(place, arguments, words):
    with pytest.raises(ValueError) as error:
        model_with(place, mixer_args=arguments)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_imported_says_why(tmp_path):
    path = tmp_path / "layer.py"
    path.write_text("import not_there_at_all")
    with pytest.raises(ValueError, match=r"layer\.py cannot be imported: ModuleNotFoundError"):
        model_with(f"{path}:Layer")


def test_a_config_alone_does_not_run_the_file_of_a_checkpoint(tmp_path):
    model_with("Causal").save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        AutoModelForMaskedLM.from_config(config)


def test_saving_and_pushing_in_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="push_to_hub"):
        model_with("Causal").save_pretrained(tmp_path, push_to_hub=True)
