"""A saved model comes back bit-equal: here, and where our package is not installed."""

import json
import os
import shutil
import sysconfig
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForMaskedLM

import vsc_models
from tests.commands import run_python
from tests.vsc_models import own_layers
from tests.vsc_models.models import MODELS, ONE_OF_EACH, model_of
from vsc_models import VscMixerConfig, VscMixerForMaskedLM

USER_CODE = """
import json, sys
from pathlib import Path
import torch
from transformers import AutoModelForMaskedLM

assert not any("vsc_models" in name for name in sys.modules)
ids, found = torch.tensor([list(b"NPF:1>2:" + bytes(3))]), {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        model = AutoModelForMaskedLM.from_pretrained(folder, trust_remote_code=True)
        with torch.no_grad():
            found[folder.name] = model(input_ids=ids).logits.tolist()
    except ValueError as error:
        found[folder.name] = str(error)
try:
    import vsc_models
except ModuleNotFoundError:
    print(json.dumps(found))
"""


def moved_model(name):
    """The named model, every weight of it different from its initial value."""
    model = model_of(name, seed=5, answer_width=3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) / 10)
    return model


@pytest.fixture(name="saved", scope="module", params=ONE_OF_EACH)
def fixture_saved(request, tmp_path_factory):
    """Each model, moved, and its folder."""
    model, folder = moved_model(request.param), tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    return model, folder


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.tensor([list(b"NPF:1>2:" + bytes(3))])).logits


def python(code, *args, tmp_path, path=()):
    """Run code in a fresh interpreter that sees site-packages, but no .pth file and no clone."""
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    environment = {
        "PYTHONPATH": os.pathsep.join([*map(str, path), *libraries]),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),  # other threads, other rounding
    }
    return run_python("-S", "-c", code, *args, cwd=tmp_path, **environment)


def test_from_pretrained_is_bit_equal(saved):
    model, folder = saved
    loaded = AutoModelForMaskedLM.from_pretrained(folder)
    assert type(loaded) is type(model)
    assert loaded.config.answer_width == 3
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name])
    assert torch.equal(logits(model), logits(loaded))


def break_one(weights, fault):
    """Give the weights one fault, and what a user is told about it."""
    name = next(name for name in weights if not name.startswith("model.embed"))
    if fault == "foreign":
        weights["model.extra.weight"] = torch.zeros(2)
        return "tensor 'model.extra.weight' is foreign to Vsc"
    weight = weights.pop(name)
    if fault == "missing":
        return f"tensor '{name}' is missing: give"
    weights[name] = torch.zeros(7, *weight.shape)
    return f"tensor '{name}' has shape {tuple(weights[name].shape)}, Vsc"


@pytest.mark.parametrize("fault", ["missing", "foreign", "shape"])
def test_a_tensor_that_does_not_fit_is_one_clear_line(saved, fault, tmp_path, caplog):
    model, folder = saved
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    weights = load_file(folder / "model.safetensors")
    wanted = break_one(weights, fault)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    for model_class in (type(model), AutoModelForMaskedLM):
        with pytest.raises(ValueError) as error:
            model_class.from_pretrained(tmp_path)
        assert str(error.value).startswith(f"{tmp_path}: {wanted}")
        assert "\n" not in str(error.value)
        assert "ignore_mismatched_sizes=True" in str(error.value)
    assert "LOAD REPORT" not in caplog.text


def test_a_process_without_our_package_gives_the_same_logits_and_errors(tmp_path):
    models = {name: moved_model(name) for name in ONE_OF_EACH}
    torch.manual_seed(0)
    layer = VscMixerConfig(mixer=f"{own_layers.__file__}:WithBuffers", direction="both")
    models["layer of a file"] = VscMixerForMaskedLM(layer).eval()
    folders = tmp_path / "saved"
    for name, model in models.items():
        model.save_pretrained(folders / name)
    broken = shutil.copytree(folders / "counting delta", folders / "broken")
    weights = load_file(broken / "model.safetensors")
    wanted = break_one(weights, "missing")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    user_run = python(USER_CODE, folders, tmp_path=tmp_path)
    assert user_run.exit_code == 0, user_run.stderr
    found = json.loads(user_run.stdout)
    assert found.pop("broken").startswith(f"{broken}: {wanted}")
    assert found.keys() == models.keys()
    for name, their_logits in found.items():
        assert torch.equal(torch.tensor(their_logits), logits(models[name])), name


def test_faults_are_counted_and_the_report_hides_none(saved, tmp_path):
    model, folder = saved
    weights = load_file(folder / "model.safetensors")
    break_one(weights, "missing")
    break_one(weights, "foreign")
    model.save_pretrained(tmp_path)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"is missing \(and 1 more tensors do not fit\)"):
        AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    loaded, info = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert type(loaded) is type(model)
    assert not info["missing_keys"]


def test_a_damaged_file_is_one_clear_line(saved, tmp_path):
    _, folder = saved
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.truncate(3000)
    with pytest.raises(ValueError, match="the weights cannot be read") as error:
        AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("harm", ["a shard is missing", "its index is torn"])
def test_shards_that_cannot_be_read_are_one_clear_line(saved, tmp_path, harm):
    model, _ = saved
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    if harm == "a shard is missing":
        next(tmp_path.glob("model-*.safetensors")).unlink()
    else:
        (tmp_path / "model.safetensors.index.json").write_text("{")
    with pytest.raises(ValueError, match="the weights cannot be read") as error:
        AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_pickled_weights_are_not_looked_at(saved, tmp_path):
    _, folder = saved
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"no pickle")
    with pytest.raises(OSError, match=r"no file named model\.safetensors found") as error:
        AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert "\n" not in str(error.value)


def test_weights_to_be_drawn_anew_are_initialized(saved, tmp_path):
    model, _ = saved
    weights = {n: w for n, w in model.state_dict().items() if "emb" in n or "head" in n}
    model.save_pretrained(tmp_path, state_dict=dict(weights))
    torch.manual_seed(0)
    loaded = type(model).from_pretrained(tmp_path, ignore_mismatched_sizes=True)
    fresh = type(model)(model.config)
    for (name, weight), new in zip(
        loaded.named_parameters(), fresh.named_parameters(), strict=True
    ):
        if name in weights:
            assert torch.equal(weight, model.get_parameter(name)), name
        elif weight.numel() < 8:  # too few for statistics
            assert 0 < weight.abs().max() < 1, name
        else:
            assert weight.std().item() == pytest.approx(new[1].std().item(), rel=0.6), name
            assert weight.abs().max() <= 1.5 * new[1].abs().max(), name


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_models_are_known_by_their_type(name):
    model_class, config_class, usual = MODELS[name]
    config = AutoConfig.for_model(config_class.model_type, **usual)
    assert type(config) is config_class
    assert type(AutoModelForMaskedLM.from_config(config)) is model_class


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_without_a_library_the_import_succeeds_and_names_say_what_to_install(library, tmp_path):
    clone = Path(__file__).parents[2]
    code = (
        "import sys\n"
        f"sys.modules[{library!r}] = None\n"
        "import vsc_models\n"
        "for name in vsc_models.__all__:\n"
        "    try:\n        getattr(vsc_models, name)\n"
        "    except ImportError as error:\n        print(error)\n"
        "assert not hasattr(vsc_models, 'nonsense')\n"
    )
    result = python(code, tmp_path=tmp_path, path=[clone])
    assert result.exit_code == 0, result.stderr
    wanted = f"needs {library}, which is not installed: pip install -e '.[models]' in a clone"
    assert result.stdout.count(wanted) == len(vsc_models.__all__)
