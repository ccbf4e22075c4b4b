"""What a repository shall hold: whole, of one kind, and with nothing of this machine in it."""

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, SpaceCard

import vsc_models
from scripts.publishing import bundles, cards, model_card
from scripts.publishing.bundles import assemble
from scripts.publishing.cards import example
from scripts.publishing.checkpoint import read_checkpoint
from scripts.publishing.dataset import write_manifest
from tests.fake_hub import clients
from tests.planted import MIXER, PLANTED, plant
from tests.scripts.publishing.made import make_dataset, make_run
from vsc_dataset import CONFIGS, METRIC_PATH

TASK = CONFIGS["swap-nops1-5"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "001-swap-delta")


def write(bundle, folder):
    """The files of a bundle in a folder, as a user without this package downloads them."""
    folder.mkdir()
    for name, content in bundle.files.items():
        data = content if isinstance(content, bytes) else content.read_bytes()
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("kind", PLANTED)
def test_no_code_of_a_checkpoint_is_run(tmp_path, monkeypatch, kind):
    run, mark = tmp_path / "planted", tmp_path / "ran"
    make_run(run, "vsc_mixer", **MIXER)
    plant(run, kind, mark)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scratch").mkdir()
    with suppress(ValueError):
        assemble("model", run, "acme/m", tmp_path / "scratch")
    assert not mark.exists()


def test_the_code_of_our_models_is_published_as_it_is_here(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "modeling_delta.py").write_text("raise SystemExit")
    bundle = assemble("model", tmp_path / "run", "acme/m", tmp_path)
    for name in ("modeling_delta.py", "pipeline_vsc.py"):
        assert bundle.files[name] == Path(vsc_models.__file__).with_name(name).read_bytes()


def test_the_command_runs_no_code_of_a_checkpoint(tmp_path):
    run, mark = make_run(tmp_path / "run", "vsc_mixer", **MIXER), tmp_path / "ran"
    plant(run, "auto_map beside a layer's file", mark)
    told = clients.push("http://127.0.0.1:9", tmp_path, "model", run, "acme/m")
    assert "Nothing was sent" in told.stdout, told.stderr
    assert not mark.exists()


GPT2 = {"n_embd": 8, "n_layer": 1, "n_head": 1, "vocab_size": 256, "n_positions": 64}
BERT = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8,
    "vocab_size": 256, "max_position_embeddings": 64,
}  # fmt: skip


@pytest.mark.parametrize("model_type, sizes", [("gpt2", GPT2), ("bert", BERT)])
def test_a_model_of_transformers_is_asked_as_its_card_says(tmp_path, model_type, sizes):
    causal = model_type == "gpt2"
    run = make_run(tmp_path / "run", model_type, **sizes)
    bundle = assemble("model", run, "acme/vsc-other", tmp_path / "scratch")
    assert ("pipeline_vsc.py" in bundle.files) is not causal
    card = bundle.files["README.md"].decode()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    assert ("trust_remote_code" in card) is not causal
    assert "answer_width" not in code
    local = code.replace("acme/vsc-other", str(write(bundle, tmp_path / "downloaded")))
    exec(re.sub(r"print\((.*)\)", r"answer = \1", local), found := {})
    assert isinstance(found["answer"], str)
    # A model that knows nothing may answer with any bytes: the field's width is what counts.
    wide = found["ask"](example("swap-nops1-5")["question"], answer_width=5)["answer"]
    assert found["answer"] == wide


def test_a_model_that_sees_its_padding_is_asked_as_its_card_says(tmp_path):
    run = make_run(tmp_path / "run", hidden_size=8, mask_padding=False)
    bundle = assemble("model", run, "acme/vsc-other", tmp_path / "scratch")
    card = bundle.files["README.md"].decode()
    width = CONFIGS["swap-nops1-5"].row_width
    assert f"all of {width} bytes, so pad to that width" in card
    assert "counts as padding" not in card
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    local = code.replace("acme/vsc-other", str(write(bundle, tmp_path / "downloaded")))
    exec(re.sub(r"print\((.*)\)", r"answer = \1", local), found := {})
    question = example("swap-nops1-5")["question"]
    assert found["answer"] == found["ask"](question, pad_to=width)["answer"]


def test_a_bundle_of_the_demo_has_what_it_shows(tmp_path):
    asked = ["acme/vsc-swap-delta"]
    place = cards.HUB_CARDS / "space"
    bundle = assemble("space", place, "acme/demo", tmp_path, checkpoints=asked)
    assert (bundle.repo_type, bundle.sdk) == ("space", "gradio")
    assert {"app.py", "requirements.txt", "README.md", "results/swap-delta.jsonl"} <= set(
        bundle.files
    )
    assert any(name.startswith("wheel/vsc_dataset-") for name in bundle.files)
    assert not [name for name in bundle.files if "cache" in name or name.startswith(".")]
    assert json.loads(bundle.files["checkpoints.json"])[-1:] == asked
    card = SpaceCard(bundle.files["README.md"].decode()).data
    assert card.models[-1:] == asked
    pinned = f"gradio=={card.sdk_version}"
    assert pinned in (place / "requirements.txt").read_text().splitlines()


def test_a_bundle_of_a_model_is_whole_and_pickles_are_refused(run, tmp_path):
    (tmp_path / "scratch").mkdir()
    bundle = assemble("model", run, "acme/vsc-swap-delta", tmp_path / "scratch")
    wanted = {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "pipeline_vsc.py", "modeling_delta.py", "modeling_scaffold.py", "modeling_vsc.py",
        "configuration_vsc.py", "tokenization_vsc.py", "README.md", "results.json", "trials.jsonl",
        "curves.png", "answers.png", "run.json", "vsc.json",
    }  # fmt: skip
    assert wanted <= set(bundle.files)
    config = json.loads(bundle.files["config.json"])
    assert config["custom_pipelines"]["vsc"]["impl"] == "pipeline_vsc.VscPipeline"
    (run / "pytorch_model.bin").write_bytes(b"")
    try:
        with pytest.raises(ValueError, match=r"pytorch_model\.bin is pickled: .* safetensors"):
            assemble("model", run, "acme/vsc-swap-delta", tmp_path / "scratch")
    finally:
        (run / "pytorch_model.bin").unlink()


def test_the_wheel_and_the_tag_are_of_one_version(tmp_path, monkeypatch):
    bundle = assemble("metric", Path(METRIC_PATH), "acme/vsc_error", tmp_path)
    assert bundle.tag == f"v{cards.version()}"
    assert bundles.build_wheel(tmp_path).name.startswith(f"vsc_dataset-{cards.version()}-")


LAYER = """
import torch
class Layer(torch.nn.Linear):
    def __init__(self, hidden_size): super().__init__(hidden_size, hidden_size)
"""


def test_no_path_of_this_machine_is_published(tmp_path):
    private = tmp_path / "a-name-that-tells"
    private.mkdir()
    (private / "layer.py").write_text(LAYER)
    made = make_run(tmp_path / "run", "vsc_mixer", mixer=f"{private}/layer.py:Layer")
    bundle = assemble("model", made, "acme/vsc-layer", tmp_path / "scratch")
    for name, content in bundle.files.items():
        data = content if isinstance(content, bytes) else content.read_bytes()
        assert private.name.encode() not in data, name
        assert str(tmp_path).encode() not in data, name
    assert json.loads(bundle.files["run.json"])["recipe"]["mixer"] == "layer.py:Layer"
    card = bundle.files["README.md"].decode()
    assert "Householder" not in card, "these are not the delta layer's sources"
    assert "The layer is `mixer_layer.py:Layer`." in card
    assert ModelCard(card).data.license is None
    assert "Apache" not in card
    bundle = assemble("model", made, "acme/m", tmp_path, licence="mit")
    assert ModelCard(bundle.files["README.md"].decode()).data.license == "mit"


def test_a_layer_of_a_package_is_named_with_its_version(tmp_path):
    made = make_run(tmp_path / "run", "vsc_mixer", **MIXER)
    card = assemble("model", made, "acme/m", tmp_path).files["README.md"].decode()
    assert f"The layer is `torch.nn:GRU` of torch {torch.__version__}" in card
    assert ModelCard(card).data.license == "apache-2.0"


@pytest.mark.parametrize("name", ["results.json", "trials.jsonl", "curves.png"])
def test_a_run_that_has_not_ended_is_not_pushed(run, tmp_path, name):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing: give a finished run"):
        assemble("model", tmp_path / "run", "acme/m", tmp_path)


@pytest.mark.parametrize(
    "model, published",
    [
        ("{folder}", "here"),
        ("{folder}/gone/model", "model"),
        ("runs/001-x/model", "model"),
        ("../x.py:make", "x.py:make"),
        ("acme/model", "acme/model"),
        ("vsc_delta", "vsc_delta"),
    ],
)
def test_a_local_model_is_published_by_its_name_alone(tmp_path, model, published):
    folder = tmp_path / "here"
    folder.mkdir()
    recipe = {"model": model.format(folder=folder), "mixer": "torch.nn:GRU"}
    (folder / "run.json").write_text(json.dumps({"recipe": recipe}))
    found = json.loads(bundles._without_places(folder / "run.json"))["recipe"]
    assert found == {"model": published, "mixer": "torch.nn:GRU"}


def test_a_run_that_flags_have_changed_is_not_called_by_the_recipe_s_name(run, tmp_path):
    said = "the first thing to run"
    text = model_card.model_card(run, "acme/m", read_checkpoint(run, TASK))
    assert said in text
    assert "swap-delta" in ModelCard(text).data.tags
    changed = json.loads((run / "run.json").read_text())
    changed["recipe"]["num_samples"] = 640
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(json.dumps(changed))
    text = model_card.model_card(tmp_path / "run", "acme/m", read_checkpoint(run, TASK))
    assert said not in text
    assert "swap-delta" not in ModelCard(text).data.tags


def test_a_dataset_without_a_whole_configuration_is_not_pushed(tmp_path):
    assert write_manifest(tmp_path) == []
    with pytest.raises(ValueError, match="holds no whole configuration"):
        assemble("dataset", tmp_path, "acme/vsc", tmp_path)


def test_a_flipped_byte_is_not_pushed(tmp_path):
    folder = make_dataset(tmp_path / "vsc")
    path = next(folder.rglob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"is not what manifest\.json says"):
        assemble("dataset", folder, "acme/vsc", tmp_path)


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "manifest.json is no JSON"),
        ("[]", "manifest.json is no JSON object"),
        ('{"version": "1.0.0"}', "manifest.json has no 'configs'"),
        ('{"version": "1.0.0", "floors": {}, "configs": {}}', "has no 'questions'"),
        ('{"configs": {"swap-nop5": {}}, %s}', "did you mean 'swap-nops5'?"),
        ('{"configs": {"swap-nops5": {"test": {}}}, %s}', "swap-nops5, test in"),
    ],
)
def test_a_malformed_manifest_is_one_line(tmp_path, text, words):
    rest = '"version": "1.0.0", "floors": {"questions": 1, "by_config": {}}'
    (tmp_path / "manifest.json").write_text(text.replace("%s", rest))
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        assemble("dataset", tmp_path, "acme/vsc", tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"recipe": {"name": "x"}}'])
def test_a_malformed_run_is_one_line(run, tmp_path, text):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"run\.json .*: give a run as train\.py leaves") as error:
        assemble("model", tmp_path / "run", "acme/m", tmp_path / "scratch")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "more, words",
    [
        ({"licence": "mit"}, "--license is for a model, this is a metric"),
        ({"checkpoints": ["acme/m"]}, "--checkpoints is for a space, this is a metric"),
        ({"checkpoints": ["m"]}, "--checkpoints 'm' is no repository"),
    ],
)
def test_an_option_of_another_kind_is_refused(tmp_path, more, words):
    with pytest.raises(ValueError, match=words):
        assemble("metric", Path(METRIC_PATH), "acme/vsc_error", tmp_path, **more)


@pytest.mark.parametrize(
    "kind, place, words",
    [
        ("dataset", "run", "is no dataset (it looks like a model): give a folder that"),
        ("model", "vsc", "is no model (it looks like a dataset): give a finished run"),
        ("metric", "vsc", "is no metric (it looks like a dataset): give vsc_dataset/metrics"),
        ("space", "run", "is no space (it looks like a model): give hub_cards/space"),
        ("model", "", "is no model (nothing to push is in it): give a finished run"),
        ("dataset", "nowhere", "nowhere is no folder: give a folder that"),
    ],
)
def test_a_folder_of_another_kind_is_named(tmp_path, kind, place, words):
    for sign in ("run/config.json", "vsc/manifest.json"):
        (tmp_path / sign).parent.mkdir(exist_ok=True)
        (tmp_path / sign).write_text("{}")
    with pytest.raises(ValueError, match=re.escape(words)):
        assemble(kind, tmp_path / place, "acme/vsc", tmp_path)


def test_a_malformed_id_is_named(tmp_path):
    with pytest.raises(ValueError, match="REPO 'vsc' is no repository: write OWNER/NAME, such"):
        assemble("dataset", tmp_path, "vsc", tmp_path)
    for name in ("acme/vsc-", "acme/a--b", "acme/\N{LATIN SMALL LETTER E WITH ACUTE}t"):
        with pytest.raises(ValueError, match="is no repository: write OWNER/NAME"):
            assemble("dataset", tmp_path, name, tmp_path)


def test_a_torn_dataset_is_not_pushed(tmp_path):
    folder = make_dataset(tmp_path / "vsc")
    torn = next(folder.rglob("*.parquet"))
    torn.write_bytes(torn.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"is not what manifest\.json says"):
        assemble("dataset", folder, "acme/vsc", tmp_path)


def test_a_metric_of_a_name_that_evaluate_does_not_find_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be called 'acme/vsc-metric'.*must be vsc_error"):
        assemble("metric", Path(METRIC_PATH), "acme/vsc-metric", tmp_path)
