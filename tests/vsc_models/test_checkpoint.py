"""A saved model comes back bit-equal, or says what does not fit."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForMaskedLM

import vsc_models
from tests.commands import ROOT, SITE, run_alone
from tests.vsc_models.models import MODELS, ONE_OF_EACH, moved_model
from tests.vsc_models.questions import logits


@pytest.fixture(name="saved", scope="module", params=ONE_OF_EACH)
def fixture_saved(request, tmp_path_factory):
    """Each model, moved, and its folder."""
    model, folder = moved_model(request.param, answer_width=3), tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    return model, folder


def test_from_pretrained_is_bit_equal(saved):
    model, folder = saved
    loaded = AutoModelForMaskedLM.from_pretrained(folder)
    assert type(loaded) is type(model)
    assert loaded.config.answer_width == 3
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name])
    ids = torch.tensor([list(b"NPF:1>2:" + bytes(3))])
    assert torch.equal(logits(model, input_ids=ids), logits(loaded, input_ids=ids))


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


@pytest.mark.parametrize("harm", ["torn", "a shard is missing", "its index is torn", "a pickle"])
def test_weights_that_cannot_be_read_are_one_clear_line(saved, tmp_path, harm):
    size = "4KB" if "its" in harm or "shard" in harm else "1GB"
    saved[0].save_pretrained(tmp_path, max_shard_size=size)
    weights = tmp_path / "model.safetensors"
    if harm == "torn":
        weights.write_bytes(weights.read_bytes()[:3000])
    elif harm == "a shard is missing":
        next(tmp_path.glob("model-*.safetensors")).unlink()
    elif harm == "its index is torn":
        (tmp_path / "model.safetensors.index.json").write_text("{")
    else:
        weights.rename(tmp_path / "pytorch_model.bin")
    words = "no file named model.safetensors found|the weights cannot be read"
    with pytest.raises((ValueError, OSError), match=words) as error:
        AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert str(tmp_path) in str(error.value)
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
    code = (
        "import sys\n"
        f"sys.modules[{library!r}] = None\n"
        "import vsc_models\n"
        "for name in vsc_models.__all__:\n"
        "    try:\n        getattr(vsc_models, name)\n"
        "    except ImportError as error:\n        print(error)\n"
        "assert not hasattr(vsc_models, 'nonsense')\n"
    )
    result = run_alone(code, cwd=tmp_path, path=(ROOT, SITE))
    assert result.exit_code == 0, result.stderr
    wanted = f"needs {library}, which is not installed: pip install -e '.[models]' in a clone"
    assert result.stdout.count(wanted) == len(vsc_models.__all__)
