"""What a repository shall hold: whole, of one kind, and with nothing of this machine in it."""

import json
import random
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, SpaceCard

import vsc_models
from scripts.publishing import bundles, cards
from scripts.publishing.bundles import assemble
from scripts.publishing.cards import example
from scripts.publishing.parquet import write_manifest
from tests.planted import MIXER, PLANTED, plant
from tests.scripts.publishing.made import make_run
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


def write(bundle, folder):
    """The files of a bundle in a folder, as a user without this package downloads them."""
    folder.mkdir()
    for name, content in bundle.files.items():
        (folder / name).write_bytes(read(content))
    return folder


def ask_by_card(bundle, folder) -> dict:
    """What the code of a model's card leaves, with the printed text as `answer`."""
    code = re.search(r"```python\n(.*?)```", bundle.files["README.md"].decode(), re.DOTALL)[1]
    assert "answer_width" not in code
    local = code.replace(bundle.repo, str(write(bundle, folder)))
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


GPT2 = {"n_embd": 8, "n_layer": 1, "n_head": 1, "vocab_size": 256, "n_positions": 64}
BERT = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8,
    "vocab_size": 256, "max_position_embeddings": 64,
}  # fmt: skip


@pytest.mark.parametrize("model_type, sizes", [("gpt2", GPT2), ("bert", BERT)])
def test_a_model_of_transformers_is_evaluated_as_its_card_says(tmp_path, model_type, sizes):
    causal = model_type == "gpt2"
    run = make_run(tmp_path / "run", model_type, **sizes)
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


def test_a_bundle_of_the_demo_has_what_it_shows(tmp_path):
    names = ["acme/vsc-swap-delta"]
    place = cards.HUB_CARDS / "space"
    bundle = assemble("space", place, "acme/demo", tmp_path, checkpoints=names)
    assert (bundle.repo_type, bundle.sdk) == ("space", "gradio")
    assert {"app.py", "requirements.txt", "README.md", "results/swap-delta.jsonl"} <= set(
        bundle.files
    )
    assert any(name.startswith("wheel/vsc_dataset-") for name in bundle.files)
    assert not [name for name in bundle.files if "cache" in name or name.startswith(".")]
    assert json.loads(bundle.files["checkpoints.json"])[-1:] == names
    card = SpaceCard(bundle.files["README.md"].decode()).data
    assert card.models[-1:] == names
    pinned = f"gradio=={card.sdk_version}"
    assert pinned in (place / "requirements.txt").read_text().splitlines()


def test_a_bundle_of_a_model_is_whole_and_pickles_are_refused(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_theSecret")
    bundle = assemble("model", copy, "acme/vsc-swap-delta", tmp_path)
    wanted = {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "pipeline_vsc.py", "modeling_delta.py", "modeling_scaffold.py", "modeling_vsc.py",
        "configuration_vsc.py", "tokenization_vsc.py", "README.md", "results.json", "trials.jsonl",
        "curves.png", "answers.png", "run.json", "vsc.json",
    }  # fmt: skip
    assert wanted <= set(bundle.files)
    config = json.loads(bundle.files["config.json"])
    assert config["custom_pipelines"]["vsc"]["impl"] == "pipeline_vsc.VscPipeline"
    assert not [name for name, content in bundle.files.items() if b"hf_theSecret" in read(content)]
    for ending in (".bin", ".pt", ".pth", ".pkl", ".ckpt"):
        pickle = copy / f"pytorch_model{ending}"
        pickle.write_bytes(b"")
        with pytest.raises(ValueError, match=rf"pytorch_model\{ending} is pickled: .* safetensors"):
            assemble("model", copy, "acme/vsc-swap-delta", tmp_path)
        pickle.unlink()


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


@pytest.mark.parametrize("name", ["results.json", "trials.jsonl", "curves.png"])
def test_a_run_that_has_not_ended_is_not_pushed(copy, name):
    (copy / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing: give a finished run"):
        card_of(copy)


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


VALUES = [None, [], {}, "x", -1, 10**400, 1.5, True, "<b>", ["x"], {"x": None}]


def damage(text: str, generator: random.Random) -> str:
    """A file of JSON that is cut, or in which a value, at any depth, is another one or missing."""
    value = json.loads(text)
    if generator.random() < 0.2:
        return text[: generator.randrange(len(text) - 2)]
    part = value
    while True:
        key = generator.choice(list(part) if isinstance(part, dict) else range(len(part)))
        if isinstance(part[key], dict | list) and part[key] and generator.random() < 0.8:
            part = part[key]
            continue
        if generator.random() < 0.3:
            del part[key]
        else:
            part[key] = generator.choice(VALUES)
        return json.dumps(value)


@pytest.mark.parametrize("name", ["run.json", "results.json", "config.json", "trials.jsonl"])
def test_a_damaged_file_of_a_run_is_one_line_that_names_it(copy, name):
    generator, said = random.Random(0), []
    good = (copy / name).read_text()
    good = good.splitlines()[0] if name == "trials.jsonl" else good
    texts = ["", "null", "[]", "{}", "\0", "[" * 9_000] + [
        damage(good, generator) for _ in range(40)
    ]
    for text in texts:
        (copy / name).write_text(text + "\n")
        try:
            card_of(copy)
        except ValueError as error:
            said.append(str(error))
    assert len(said) > 12
    # Where trials.jsonl or the data of run.json is another one, results.json does not fit it.
    others = [line for line in said if str(copy / name) not in line]
    assert not [line for line in said if "\n" in line] + (others if name[0] in "cr" else [])


@pytest.mark.parametrize(
    "more, words",
    [
        ({"license_id": "mit"}, "--license is for a model, this is a metric"),
        ({"checkpoints": ["acme/m"]}, "--checkpoints is for a space, this is a metric"),
        ({"checkpoints": ["m"]}, "--checkpoints 'm' is not a repository"),
    ],
)
def test_an_option_of_another_kind_is_refused(tmp_path, more, words):
    with pytest.raises(ValueError, match=words):
        assemble("metric", Path(METRIC_PATH), "acme/vsc_error", tmp_path, **more)


@pytest.mark.parametrize(
    "kind, place, words",
    [
        ("dataset", "run", "is not a dataset (it looks like a model): give a folder that"),
        ("model", "vsc", "is not a model (it looks like a dataset): give a finished run"),
        ("metric", "vsc", "is not a metric (it looks like a dataset): give vsc_dataset/metrics"),
        ("space", "run", "is not a space (it looks like a model): give hub_cards/space"),
        ("model", "", "is not a model (nothing to push is in it): give a finished run"),
        ("dataset", "nowhere", "nowhere is not a folder: give a folder that"),
    ],
)
def test_a_folder_of_another_kind_is_named(tmp_path, kind, place, words):
    for sign in ("run/config.json", "vsc/manifest.json"):
        (tmp_path / sign).parent.mkdir(exist_ok=True)
        (tmp_path / sign).write_text("{}")
    with pytest.raises(ValueError, match=re.escape(words)):
        assemble(kind, tmp_path / place, "acme/vsc", tmp_path)


def test_a_malformed_id_is_named(tmp_path):
    with pytest.raises(ValueError, match="REPO 'vsc' is not a repository: write OWNER/NAME, such"):
        assemble("dataset", tmp_path, "vsc", tmp_path)
    for name in ("acme/vsc-", "acme/a--b", "acme/\N{LATIN SMALL LETTER E WITH ACUTE}t"):
        with pytest.raises(ValueError, match="is not a repository: write OWNER/NAME"):
            assemble("dataset", tmp_path, name, tmp_path)


def test_a_metric_of_a_name_that_evaluate_does_not_find_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be called 'acme/vsc-metric'.*must be vsc_error"):
        assemble("metric", Path(METRIC_PATH), "acme/vsc-metric", tmp_path)
