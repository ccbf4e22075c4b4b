"""What a repository shall hold: whole, of one kind, and with nothing of this machine in it."""

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, SpaceCard
from transformers import AutoTokenizer

import vsc_models
from scripts.publishing import cards
from scripts.publishing.bundles import assemble
from scripts.publishing.cards import example
from scripts.publishing.parquet import write_manifest
from tests.commands import ROOT
from tests.planted import MIXER, PLANTED, plant
from tests.scripts.publishing.made import make_run
from tests.vsc_models.models import OTHER_SIZES
from vsc_dataset import CONFIGS, METRIC_PATH


@pytest.fixture(scope="module")
def mixer_run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "mixer", "vsc_mixer", **MIXER)


@pytest.fixture(name="copy")
def fixture_copy(run, tmp_path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def card_of(run: Path, **more: str) -> str:
    return read(assemble("model", run, "acme/m", run, **more).files["README.md"]).decode()


def read(content: Path | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def ask_by_card(bundle, folder) -> dict:
    """What the code of a model's card leaves, with the printed text as `answer`.

    It reads the bundle's files from a folder, as a user without this package downloads them.
    """
    folder.mkdir()
    for name, content in bundle.files.items():
        (folder / name).write_bytes(read(content))
    code = re.search(r"```python\n(.*?)```", bundle.files["README.md"].decode(), re.DOTALL)[1]
    assert "answer_width" not in code
    local = code.replace(bundle.repo, str(folder))
    exec(re.sub(r"print\((.*)\)", r"answer = \1", local), found := {})
    return found


@pytest.mark.parametrize("kind", PLANTED)
def test_no_code_of_a_checkpoint_is_run(mixer_run, tmp_path, monkeypatch, kind):
    run, mark = Path(shutil.copytree(mixer_run, tmp_path / "planted")), tmp_path / "ran"
    plant(run, kind, mark)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with suppress(ValueError):
        assemble("model", run, "acme/m", tmp_path)
    assert not mark.exists()


def test_the_code_of_our_models_is_published_as_it_is_here(copy, tmp_path):
    (copy / "modeling_delta.py").write_text("raise SystemExit")
    bundle = assemble("model", copy, "acme/m", tmp_path)
    for name in ("modeling_delta.py", "pipeline_vsc.py"):
        assert bundle.files[name] == Path(vsc_models.__file__).with_name(name).read_bytes()


@pytest.mark.parametrize("model_type", ["gpt2", "bert"])
def test_a_model_of_transformers_is_evaluated_as_its_card_says(tmp_path, model_type):
    causal = model_type == "gpt2"
    run = make_run(tmp_path / "run", model_type, **OTHER_SIZES)
    bundle = assemble("model", run, "acme/vsc-other", tmp_path)
    assert ("pipeline_vsc.py" in bundle.files) is not causal
    assert (b"trust_remote_code" in bundle.files["README.md"]) is not causal
    found = ask_by_card(bundle, tmp_path / "downloaded")
    # A model that knows nothing may answer with any bytes: the field's width is what counts.
    wide = found["ask"](example("swap-nops1-5")["question"], answer_width=5)["answer"]
    assert found["answer"] == wide


def test_a_model_without_a_padding_mask_is_evaluated_as_its_card_says(tmp_path):
    run = make_run(tmp_path / "run", hidden_size=8, mask_padding=False)
    bundle = assemble("model", run, "acme/vsc-other", tmp_path)
    width = CONFIGS["swap-nops1-5"].row_width
    assert f"all of {width} bytes, so pad to that width".encode() in bundle.files["README.md"]
    assert b"counts as padding" not in bundle.files["README.md"]
    found = ask_by_card(bundle, tmp_path / "downloaded")
    question = example("swap-nops1-5")["question"]
    assert found["answer"] == found["ask"](question, pad_to=width)["answer"]


def test_a_model_of_changed_data_and_another_objective_is_published_as_it_was_trained(tmp_path):
    how = {"layout": "tokens", "objective": "scratchpad", "causal": True}
    run = make_run(tmp_path / "run", "vsc_delta", **how, vocab_size=731, pad_token_id=1)
    kept = json.loads((run / "run.json").read_text())
    kept["recipe"] |= {"data_args": {"layout": "tokens", "num_items": 9}, "objective": "scratchpad"}
    (run / "run.json").write_text(json.dumps(kept))
    bundle = assemble("model", run, "acme/vsc-other", tmp_path)
    card = bundle.files["README.md"].decode()
    assert "Trained on `swap-nops1-5 layout=tokens num_items=9`" in card
    assert "it writes the state after each operation, then the 5 places" in card
    assert ask_by_card(bundle, tmp_path / "downloaded")["ask"].tokenizer.vocab_size == 731
    assert AutoTokenizer.from_pretrained(tmp_path / "downloaded").vocab_size == 731
    question = re.search(r'ask\("([A-Z]+):', card)[1]
    assert set(question) <= set("ABCDEFGHI")


def test_a_bundle_of_the_demo_has_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_theSecret")
    names = ["acme/vsc-swap-delta"]
    place = ROOT / "hub_cards" / "space"
    bundle = assemble("space", place, "acme/demo", tmp_path, checkpoints=names)
    assert (bundle.repo_type, bundle.sdk) == ("space", "gradio")
    assert {"app.py", "requirements.txt", "README.md", "tables/scorecards.md"} <= set(bundle.files)
    assert bundle.tag == f"v{cards.version()}"
    assert any(name.startswith(f"wheel/vsc_dataset-{cards.version()}-") for name in bundle.files)
    assert not [name for name in bundle.files if "cache" in name or name.startswith(".")]
    assert json.loads(bundle.files["checkpoints.json"])[-1:] == names
    metric = assemble("metric", Path(METRIC_PATH), "acme/vsc_error", tmp_path)
    for content in (*bundle.files.values(), *metric.files.values()):
        assert b"hf_theSecret" not in read(content)
    card = SpaceCard(bundle.files["README.md"].decode()).data
    assert card.models[-1:] == names
    pinned = f"gradio=={card.sdk_version}"
    assert pinned in (place / "requirements.txt").read_text().splitlines()


def test_a_bundle_of_a_model_is_whole_and_holds_no_pickle(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_theSecret")
    for ending in (".bin", ".pt", ".pth", ".pkl", ".ckpt"):
        (copy / f"pytorch_model{ending}").write_bytes(b"")
    bundle = assemble("model", copy, "acme/vsc-swap-delta", tmp_path)
    assert set(bundle.files) == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "pipeline_vsc.py", "modeling_delta.py", "modeling_scaffold.py", "modeling_vsc.py",
        "counter.py", "delta_rule.py", "dilated_conv.py", "configuration_vsc.py",
        "tokenization_vsc.py", "README.md", "results.json", "trials.jsonl", "curves.png",
        "answers.png", "run.json", "report.txt", "vsc.json",
    }  # fmt: skip
    config = json.loads(bundle.files["config.json"])
    assert config["custom_pipelines"]["vsc"]["impl"] == "pipeline_vsc.VscPipeline"
    assert not [name for name, content in bundle.files.items() if b"hf_theSecret" in read(content)]
    (copy / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="safetensors is missing: give a finished run"):
        assemble("model", copy, "acme/vsc-swap-delta", tmp_path)


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
    bundle = assemble("model", made, "acme/vsc-layer", tmp_path)
    for name, content in bundle.files.items():
        assert private.name.encode() not in read(content), name
        assert str(tmp_path).encode() not in read(content), name
    assert json.loads(bundle.files["run.json"])["recipe"]["mixer"] == "layer.py:Layer"
    card = bundle.files["README.md"].decode()
    assert "Householder" not in card, "these are not the delta layer's sources"
    assert "The layer is `mixer_layer.py:Layer`." in card
    assert ModelCard(card).data.license is None
    assert "Apache" not in card
    assert ModelCard(card_of(made, license_id="mit")).data.license == "mit"


def test_a_layer_of_a_package_is_named_with_its_version(mixer_run):
    card = card_of(mixer_run)
    assert f"The layer is `torch.nn:GRU` of torch {torch.__version__}" in card
    assert ModelCard(card).data.license == "apache-2.0"


@pytest.mark.parametrize(
    "model, published",
    [
        ("{folder}", "run"),
        ("{folder}/gone/model", "model"),
        ("runs/001-x/model", "model"),
        ("../x.py:make", "x.py:make"),
        ("acme/model", "acme/model"),
        ("vsc_delta", "vsc_delta"),
    ],
)
def test_a_local_model_is_published_by_its_name_alone(copy, tmp_path, model, published):
    run = json.loads((copy / "run.json").read_text())
    run["recipe"]["model"] = model.format(folder=copy)
    (copy / "run.json").write_text(json.dumps(run))
    files = assemble("model", copy, "acme/m", tmp_path).files
    assert json.loads(files["run.json"])["recipe"] == {**run["recipe"], "model": published}


def test_a_dataset_without_a_whole_configuration_is_not_pushed(tmp_path):
    assert write_manifest(tmp_path) == []
    with pytest.raises(ValueError, match="holds no whole configuration"):
        assemble("dataset", tmp_path, "acme/vsc", tmp_path)


@pytest.mark.parametrize("torn", [False, True])
def test_a_damaged_dataset_is_not_pushed(dataset, tmp_path, torn):
    folder = Path(shutil.copytree(dataset, tmp_path / "vsc"))
    path = next(folder.rglob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data[:-1] if torn else data)
    with pytest.raises(ValueError, match=r"is not what manifest\.json says"):
        assemble("dataset", folder, "acme/vsc", tmp_path)


@pytest.mark.parametrize("name", ["run.json", "results.json", "config.json", "trials.jsonl"])
@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"recipe": 1}', "\0"])
def test_a_damaged_file_of_a_run_is_one_line_that_names_it(copy, name, text):
    (copy / name).write_text(text + "\n")
    with pytest.raises(ValueError, match=name) as error:
        card_of(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0, 0.5])
def test_damaged_weights_are_not_published(copy, kept):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"model.safetensors is damaged .*: copy or train it"):
        card_of(copy)


@pytest.mark.parametrize(
    "kind, folder, repo, more, words",
    [
        ("metric", METRIC_PATH, "acme/vsc_error", {"license_id": "mit"}, "--license is for a mod"),
        ("metric", METRIC_PATH, "acme/vsc_error", {"checkpoints": ["acme/m"]}, "is for a space"),
        ("space", "hub_cards/space", "acme/m", {"checkpoints": ["m"]}, "'m' is not a repository"),
        ("dataset", METRIC_PATH, "acme/vsc", {}, "is not a dataset, it has no manifest.json: give"),
        ("model", "nowhere", "acme/vsc", {}, "is not a model, it has no config.json: give a finis"),
        ("dataset", ".", "vsc", {}, "REPO 'vsc' is not a repository: write OWNER/NAME, such"),
        ("dataset", ".", "acme/a--b", {}, "is not a repository: write OWNER/NAME"),
        ("metric", METRIC_PATH, "acme/vsc-metric", {}, "the name must be vsc_error"),
    ],
)
def test_what_cannot_be_pushed_is_one_line(tmp_path, kind, folder, repo, more, words):
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        assemble(kind, ROOT / folder, repo, tmp_path, **more)
    assert "\n" not in str(error.value)
