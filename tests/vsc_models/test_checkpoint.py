"""A saved model comes back bit-equal: here, and where our package is not installed."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM

import vsc_models
from tests.vsc_models.zoo import MODELS, model_of

STRANGER = """
import json, sys
import torch
from transformers import AutoModelForMaskedLM

assert not any("vsc_models" in name for name in sys.modules)
model = AutoModelForMaskedLM.from_pretrained(sys.argv[1], trust_remote_code=True)
with torch.no_grad():
    logits = model(input_ids=torch.tensor([list(b"NPF:1>2:" + bytes(3))])).logits
try:
    import vsc_models
except ModuleNotFoundError:
    print(json.dumps(logits.tolist()))
"""


@pytest.fixture(name="saved", scope="module", params=MODELS)
def fixture_saved(request, tmp_path_factory):
    """Each model, every weight of it different from its initial value, and its folder."""
    model = model_of(request.param, seed=5, answer_width=3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) / 10)
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    return model, folder


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.tensor([list(b"NPF:1>2:" + bytes(3))])).logits


def python(code, *args, tmp_path, path=()):
    """Run code in a fresh interpreter that sees site-packages, but no .pth file and no clone."""
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*map(str, path), *libraries]),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),  # other threads, other rounding
    }
    command = [sys.executable, "-S", "-c", code, *map(str, args)]
    return subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def test_from_pretrained_is_bit_equal(saved):
    model, folder = saved
    loaded = AutoModelForMaskedLM.from_pretrained(folder)
    assert type(loaded) is type(model)
    assert loaded.config.answer_width == 3
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name])
    assert torch.equal(logits(model), logits(loaded))


def test_a_process_without_our_package_gives_the_same_logits(saved, tmp_path):
    model, folder = saved
    stranger = python(STRANGER, folder, tmp_path=tmp_path)
    assert stranger.returncode == 0, stranger.stderr
    assert torch.equal(torch.tensor(json.loads(stranger.stdout)), logits(model))


def test_weights_missing_from_a_checkpoint_are_initialised(saved, tmp_path):
    model, _ = saved
    weights = {n: w for n, w in model.state_dict().items() if "emb" in n or "head" in n}
    model.save_pretrained(tmp_path, state_dict=dict(weights))
    torch.manual_seed(0)
    loaded = type(model).from_pretrained(tmp_path)
    fresh = type(model)(model.config)
    for (name, weight), new in zip(
        loaded.named_parameters(), fresh.named_parameters(), strict=True
    ):
        if name in weights:
            assert torch.equal(weight, model.get_parameter(name)), name
        else:
            assert weight.std().item() == pytest.approx(new[1].std().item(), rel=0.6), name
            assert weight.abs().max() <= 1.5 * new[1].abs().max(), name


@pytest.mark.parametrize("name", MODELS)
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
    assert result.returncode == 0, result.stderr
    wanted = f"needs {library}, which is not installed: pip install 'vsc[models]'"
    assert result.stdout.count(wanted) == len(vsc_models.__all__)
