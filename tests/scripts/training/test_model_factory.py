"""A recipe's model: any architecture, any layer, any file; and clear words for what cannot be."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from scripts.core.batches import logits_of, model_inputs
from scripts.training.model_checks import check_model
from scripts.training.model_factory import TOKEN_IDS, build_model, code_of
from scripts.training.optimizer import make_optimizer
from scripts.training.recipes import Recipe, find_recipe, read_recipes
from scripts.training.signals import Stopped
from tests.vsc_models import own_layers
from vsc_dataset import sample
from vsc_dataset.encoding import MASK
from vsc_models import VscMixerForMaskedLM

FILE = own_layers.__file__
CPU = torch.device("cpu")
LLAMA = find_recipe("zoo-llama")
TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY |= {"intermediate_size": 32}
COMPARED = {name: recipe for name, recipe in read_recipes().items() if name.startswith("zoo-")}


def recipe_of(model, mixer="", **fields):
    return Recipe(name="mine", data="swap-nops1-5", model=model, mixer=mixer, **fields)


@pytest.mark.parametrize("name", COMPARED)
def test_the_zoo_has_models_of_one_size_that_answer_in_bytes(name):
    recipe, lines = COMPARED[name], []
    model = check_model(recipe, CPU, num_processes=2, report=lines.append)  # every weight learns
    assert 30_000 <= sum(p.numel() for p in model.parameters()) <= 120_000
    assert (recipe.num_samples, recipe.batch_size, recipe.data) == (100_000, 64, "swap-nops1-5")
    if not recipe.model.startswith("vsc_"):
        reads = "looks ahead" if "bert" in name or name == "zoo-roformer" else "(causal)"
        assert "do not mix" in lines[1]
        assert reads in lines[2]


def test_a_function_of_a_file_is_told_how_many_ids_there_are_where_it_asks(tmp_path):
    path = tmp_path / "models.py"
    path.write_text(
        "from torch import nn\n"
        "def tell(vocab_size, size=2): return nn.Embedding(vocab_size, size)\n"
        "def silent(size): return nn.Embedding(256, size)\n"
    )
    for layout, ids in (("compact", 256), ("tokens", 731)):
        recipe = recipe_of(f"{path}:tell", data_args={"layout": layout})
        assert build_model(recipe).weight.shape == (ids, 2)
    assert build_model(recipe_of(f"{path}:silent", model_args={"size": 3})).weight.shape == (256, 3)


def test_no_token_of_an_architecture_is_a_byte_of_a_question():
    texts = b"".join(sample("default-spaced", "train", range(500)).input_ids.tobytes().split())
    used = set(texts) | {32}
    for name, byte in TOKEN_IDS.items():
        assert byte == MASK if name == "mask_token_id" else byte not in used
    for name in ("llama", "bert", "modernbert", "gpt2"):
        config = build_model(COMPARED[f"zoo-{name}"]).config
        ids = {n: getattr(config, n, None) for n in TOKEN_IDS}
        assert all(ids[n] in (None, byte) for n, byte in TOKEN_IDS.items()), ids
    space = build_model(COMPARED["zoo-bert"]).get_input_embeddings().weight[32]
    assert space.any()  # it is not padding, whose embedding learns nothing


def test_padding_is_invisible_to_a_causal_and_to_a_masked_architecture():
    examples = sample("swap-nops1-5", "validation", range(8))
    for name in ("zoo-llama", "zoo-bert", "zoo-lfm2"):
        model = build_model(COMPARED[name]).eval()
        inputs, _ = model_inputs(model, examples, "answer", CPU)
        padded = inputs["attention_mask"] == 0
        other = {**inputs, "input_ids": inputs["input_ids"].masked_fill(padded, 65)}
        with torch.no_grad():
            a, b = (logits_of(model, i)[~padded] for i in (inputs, other))
        assert torch.allclose(a, b, atol=1e-5)


def test_a_large_model_is_refused_before_it_takes_memory():
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"parameters, max_parameters is 10,000,000"):
        build_model(recipe_of("llama"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB
    with pytest.raises(ValueError, match="max_parameters is 98,623"):
        build_model(replace(LLAMA, max_parameters=98_623))
    assert build_model(replace(LLAMA, max_parameters=98_624))


@pytest.mark.parametrize("name", ["swap-delta", "zoo-bert"])  # the second one has dropout
def test_a_model_that_was_checked_is_as_it_was_built(name):
    torch.manual_seed(0)
    built, drawn = build_model(find_recipe(name)).state_dict(), torch.rand(1)
    torch.manual_seed(0)
    checked = check_model(find_recipe(name), CPU)
    assert torch.equal(torch.rand(1), drawn)
    assert all(parameter.grad is None for parameter in checked.parameters())
    for key, weight in checked.state_dict().items():
        assert torch.equal(weight, built[key])


def test_a_mixer_takes_the_sizes_of_the_scaffold_that_it_replaces():
    recipe = replace(
        find_recipe("swap-delta"),
        mixer=f"{FILE}:Causal",
        mixer_args={"gain": 3.0},
        direction="both",
    )
    model = build_model(recipe)
    assert isinstance(model, VscMixerForMaskedLM)
    assert (model.config.hidden_size, model.config.conv_kernel_sizes) == (32, [5, 5])
    assert (model.config.answer_width, model.config.layout) == (5, "compact")
    assert [mixer.proj.bias[0].item() for mixer in model.model.mixer] == [3.0, 3.0]


@pytest.mark.parametrize(
    "name, words",
    [
        ("Causal", ["gain=0.5", "do not mix", "reads from left to right (causal)"]),
        (
            "HalfPrecise",
            ["no arguments", "do not mix", "reads from left to right (causal)", "has 16 bits"],
        ),
        ("SeesBothWays", ["no arguments", "do not mix", "looks ahead (bidirectional): position 0"]),
        ("RandomAlways", ["no arguments", "gives other numbers each time"]),
        ("NanNearby", ["no arguments", "NaN or infinity with weights moved a little; it was not"]),
    ],
)
def test_a_custom_layer_is_told_what_it_gets_and_what_it_reads(name, words):
    lines, arguments = [], {"gain": 0.5} if name == "Causal" else {}
    recipe = recipe_of("vsc_delta", f"{FILE}:{name}", mixer_args=arguments)
    torch.manual_seed(0)
    check_model(recipe, CPU, report=lines.append)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    build_model(recipe)
    assert torch.equal(torch.rand(1), drawn)
    for line, part in zip(lines, words, strict=name != "RandomAlways"):
        assert part in line


def test_a_layer_whose_output_begins_at_zero_hides_nothing():
    lines, heads = [], {"num_heads": 2, "batch_first": True}
    recipe = recipe_of("vsc_delta", f"{FILE}:ZeroAtFirst", mixer_args=heads)
    check_model(recipe, CPU, report=lines.append)
    assert "looks ahead (bidirectional): position 0" in lines[-1]
    with pytest.raises(ValueError, match="mixes the rows of a batch: row 7 alone"):
        check_model(replace(recipe, mixer_args={**heads, "batch_first": False}), CPU)


def test_a_layer_is_told_as_it_stands_in_the_scaffold():
    lines, recipe = [], recipe_of("vsc_delta", "torch.nn:GRU")
    check_model(recipe, CPU, report=lines.append)
    assert "reads from left to right (causal)" in lines[-1]
    check_model(replace(recipe, direction="both"), CPU, report=lines.append)
    assert "looks ahead (bidirectional): position 0" in lines[-1]


@pytest.mark.parametrize("name", ["mamba-l6", "zoo-mamba2", "zoo-rwkv", "zoo-gru"])
def test_weight_decay_spares_vectors_norms_and_decay_rates_where_the_recipe_says_so(name):
    recipe = find_recipe(name)
    model = build_model(recipe)
    (together,) = make_optimizer(model, recipe).param_groups
    assert [id(p) for p in together["params"]] == [id(p) for p in model.parameters()]
    recipe = replace(recipe, weight_decay_on="matrices")
    decayed, spared = make_optimizer(model, recipe).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (recipe.weight_decay, 0)
    ids = {id(p) for p in spared["params"]}
    assert {id(p) for p in decayed["params"]} == {id(p) for p in model.parameters()} - ids
    vectors = re.compile(r"norm|ln|time_|bias|A_log$|\.D$")
    for parameter, weight in model.named_parameters():
        assert (id(weight) in ids) == bool(vectors.search(parameter)), parameter


def test_a_parameter_that_a_layer_marks_is_not_decayed():
    model = nn.ModuleDict({"a": nn.Linear(2, 2, False), "b": nn.Linear(2, 2, False)})
    model["b"].weight._no_weight_decay = True
    recipe = replace(find_recipe("swap-delta"), weight_decay_on="matrices")
    decayed, spared = make_optimizer(model, recipe).param_groups
    assert decayed["params"] == [model["a"].weight]
    assert spared["params"] == [model["b"].weight]


def test_a_file_makes_a_model(monkeypatch):
    recipe = recipe_of(f"{FILE}:make_model", model_args={"width": 8})
    check_model(recipe, CPU)
    assert build_model(recipe)[0].embedding_dim == 8
    monkeypatch.chdir(Path(FILE).parent)
    assert isinstance(build_model(recipe_of("own_layers.py:make_model")), nn.Sequential)


def test_a_checkpoint_is_trained_on_in_32_bits(tmp_path):
    model = build_model(LLAMA).bfloat16()
    model.save_pretrained(tmp_path)
    again = build_model(recipe_of(str(tmp_path)))
    assert again.training
    for name, weight in model.state_dict().items():
        assert again.state_dict()[name].dtype == torch.float32
        assert torch.equal(weight.float(), again.state_dict()[name])


def test_a_model_of_another_vocabulary_is_refused(tmp_path):
    sizes = dict(LLAMA.model_args)
    AutoModelForCausalLM.from_config(
        AutoConfig.for_model("llama", vocab_size=300, **sizes)
    ).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"logits have shape \(2, 31, 300\), not \(2, 31, 256\)"):
        check_model(recipe_of(str(tmp_path)), CPU)


@pytest.mark.parametrize(
    "model, fields, words",
    [
        ("lama", {}, "is not a model type, a FILE.py:FUNCTION or a checkpoint: did you mean 'lla"),
        ("qqqq", {}, "use a type that transformers knows"),
        ("llama", {"model_args": {"hiden_size": 64}}, "did you mean 'hidden_size'?"),
        ("vsc_delta", {"model_args": {"num_head": 2}}, "did you mean 'num_heads'?"),
        ("vsc_delta", {"model_args": {"num_heads": 0}}, "num_heads=0 is out of range"),
        ("llama", {"model_args": {"hidden_size": "wide"}}, "hidden_size"),
        ("llama", {"model_args": {"hidden_size": 6, "num_attention_heads": 4}}, "model 'llama'"),
        ("llama", {"model_args": {"dtype": "float16"}}, "--mixed-precision bf16 computes in 16"),
        ("qwen2", {"model_args": {**TINY}}, "num_key_value_heads is 32, which does not divide"),
        ("bert", {"model_args": {**TINY, "max_position_embeddings": 16}}, "up to 31 ids, max_po"),
        ("vit", {}, "has no vocab_size, so it reads no text or is made of several models: use a"),
        ("gemma3", {}, "did you mean 'gemma3_text'?"),
        ("t5gemma", {}, "'t5gemma'"),
        ("not/there", {"model_args": {"a": 1}}, "its sizes are fixed, leave them out"),
        (f"{FILE}:make_nothing", {}, "returns int, not a torch.nn.Module"),
        (f"{FILE}:make_modle", {}, "did you mean 'make_model'?"),
        (f"{FILE}:make_model", {"model_args": {"wide": 1}}, "make_model(wide=1) raised TypeError"),
        (f"{FILE}:make_model", {"model_args": {"width": 40_000}}, "max_parameters is 10,000,000"),
        ("vsc_delta", {"model_args": {"layout": "spaced"}}, "from the recipe's data (--data)"),
        ("vsc_mixer", {"mixer": "torch.nn:GRU", "model_args": {"mixer": ""}}, "mixer (--mixer)"),
        ("vsc_delta", {"mixer": "fla.layers:DeltaNet"}, "pip install flash-linear-attention"),
        ("vsc_delta", {"mixer": f"{FILE}:MixesRows"}, "mixes the rows of a batch: row 7 alone"),
        ("vsc_delta", {"mixer": f"{FILE}:GivesNan"}, "gives NaN"),
        ("vsc_delta", {"mixer": f"{FILE}:HasNanGradient"}, "has NaN or infinity at the first step"),
        ("llama", {"mixer": "torch.nn:GRU"}, "goes into the scaffold of 'vsc_delta', not into"),
        ("vsc_delta", {"mixer": f"{FILE}:Shrinks"}, "(2, 31, 16) for (2, 31, 32)"),
        ("vsc_delta", {"mixer": f"{FILE}:Raises"}, "Raises(hidden_size=32) raised RuntimeError"),
        ("vsc_delta", {"mixer": f"{FILE}:HidesLayers"}, "its checkpoint would give other answers"),
        ("vsc_delta", {"mixer": f"{FILE}:MakesWeights"}, "mixer.0.layer.weight is made or"),
        ("vsc_delta", {"mixer": f"{FILE}:TakesAway"}, "mixer.0.table is made or taken away when"),
        ("vsc_delta", {"mixer": f"{FILE}:GrowsTable"}, "mixer.0.table changes its shape when the"),
        ("vsc_delta", {"mixer": f"{FILE}:ChangesInput"}, "changes its input in place"),
        ("vsc_delta", {"mixer": f"{FILE}:KeepsState"}, "and keep no state between two calls"),
        ("vsc_delta", {"mixer": f"{FILE}:Lazy"}, "has lazy parameters"),
        ("vsc_delta", {"mixer": f"{FILE}:ZeroAtFirst"}, "--mixer-args NAME=VALUE"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(model, fields, words):
    with pytest.raises(ValueError) as error:
        check_model(recipe_of(model, **fields), CPU)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "where, words",
    [
        ("forward", "ValueError: not enough values to unpack"),
        ("import", "ModuleNotFoundError: No module named 'nowhere'"),
        ("assert", "AssertionError"),
        ("backward", "RuntimeError: no gradient today"),
    ],
)
def test_what_a_layer_raises_is_one_line_with_the_place_in_its_file(where, words):
    recipe = recipe_of("vsc_delta", f"{FILE}:Fails", mixer_args={"where": where})
    with pytest.raises(ValueError, match=r"Fails cannot be run: ") as error:
        check_model(recipe, CPU)
    source = re.search(r"\(in (.*), line (\d+): (.*?)\)(: rows|$)", str(error.value))
    assert words in str(error.value)
    assert source[1] == FILE
    assert Path(FILE).read_text().splitlines()[int(source[2]) - 1].strip() == source[3]


def test_a_signal_while_a_layer_is_checked_is_no_fault_of_the_layer(monkeypatch):
    def stop(*_):
        raise Stopped(143)

    monkeypatch.setattr(nn.GRU, "forward", stop)
    with pytest.raises(Stopped):
        check_model(recipe_of("vsc_delta", "torch.nn:GRU"), CPU)


def test_a_table_that_is_in_no_checkpoint_may_grow():
    check_model(recipe_of("vsc_delta", f"{FILE}:GrowsTable", mixer_args={"persistent": False}), CPU)


def test_parameters_that_cannot_learn_are_told():
    lines = []
    check_model(recipe_of("vsc_delta", f"{FILE}:Detached"), CPU, report=lines.append)
    told = "no gradient reaches model.mixer.0.proj.weight and 1 others, which cannot learn"
    assert any(told in line for line in lines)


def test_a_width_with_a_default_is_kept_where_another_is_required():
    assert build_model(recipe_of("vsc_delta", f"{FILE}:Window")).model.mixer[0].width == 4


def test_a_module_that_is_edited_is_other_code_and_an_installed_one_is_none(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    layers, recipe = tmp_path / "my_edited_layers.py", recipe_of("vsc_delta")
    layers.write_text("from torch.nn import Linear as Mine\n\n\nclass Layer(Mine): ...\n")
    edited = replace(recipe, mixer="my_edited_layers:Layer")
    before = code_of(edited)
    assert [*before] == ["mixer"]
    layers.write_text(layers.read_text() + "# other\n")
    assert before != code_of(edited)
    for mixer in ("", "torch.nn:GRU", "vsc_models.baselines:Delta"):
        assert code_of(replace(recipe, mixer=mixer)) == {}


@pytest.mark.parametrize(
    "model, mixer, arguments, words",
    [
        ("vsc_delta", "torch.nn:LSTM", {"num_layers": 10**9}, "give at most 1,000"),
        (
            "vsc_delta",
            "torch.nn:GRU",
            {"num_layers": 1000, "bidirectional": True},
            "max_parameters is 10,000,000",
        ),
        ("llama", "", {"num_hidden_layers": 10**9}, "give at most 1,000"),
        ("vsc_lstm", "", {"num_layers": 1000}, "parameters, max_parameters is"),
    ],
)
def test_what_would_be_built_for_ever_is_refused(model, mixer, arguments, words):
    where = "mixer_args" if mixer else "model_args"
    with pytest.raises(ValueError, match=words):
        build_model(recipe_of(model, mixer, **{where: arguments}))


def test_a_model_type_that_needs_a_missing_package_names_it(monkeypatch):
    # Not used by any other test, so transformers has not imported it before.
    monkeypatch.setitem(sys.modules, "transformers.models.helium.modeling_helium", None)
    with pytest.raises(
        ValueError, match="model 'helium' with no arguments: ModuleNotFoundError: import"
    ):
        build_model(recipe_of("helium"))


@pytest.mark.parametrize("name", ["swap-delta", "zoo-llama"])
def test_a_checkpoint_is_told_of_the_data_that_it_is_trained_on(name, tmp_path):
    model = build_model(find_recipe(name))
    model.config.answer_width, model.config.layout = 5, "compact"  # as `push_to_hub.py` writes
    model.save_pretrained(tmp_path)
    recipe = Recipe(name="mine", data="default-spaced", model=str(tmp_path))
    build_model(recipe).save_pretrained(tmp_path / "again")
    config = AutoConfig.from_pretrained(tmp_path / "again")
    assert (config.answer_width, config.layout) == (recipe.config.answer_width, "spaced")


def test_a_checkpoint_that_is_too_large_is_refused_before_it_takes_memory(tmp_path, monkeypatch):
    build_model(LLAMA).save_pretrained(tmp_path)
    assert build_model(recipe_of(str(tmp_path), max_parameters=98_624))
    monkeypatch.setattr("transformers.LlamaForCausalLM.from_pretrained", lambda *_, **__: 1 / 0)
    with pytest.raises(ValueError, match="98,624 parameters, max_parameters is 98,623"):
        build_model(recipe_of(str(tmp_path), max_parameters=98_623))


def test_the_code_of_a_checkpoint_runs_only_on_request(tmp_path):
    recipe = replace(find_recipe("swap-delta"), mixer=f"{FILE}:Causal")
    build_model(recipe).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="brings the code of its layer"):
        build_model(recipe_of(str(tmp_path)))
    assert isinstance(build_model(recipe_of(str(tmp_path)), True), VscMixerForMaskedLM)


def test_a_hub_id_that_cannot_be_had_is_one_clear_line(monkeypatch):
    def fail(*_, **__):
        raise OSError("We couldn't connect to the hub.\nCheck your connection.")

    monkeypatch.setattr(AutoConfig, "from_pretrained", fail)
    with pytest.raises(ValueError, match=r"^me/mine: We couldn't connect to the hub\. Check your"):
        build_model(recipe_of("me/mine"))


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("NeedsMask", {}, r"called with \(batch, length, width\) alone"),
        ("EvenLengths", {}, "rows have up to 31 ids here"),
        ("Causal", {"d_model": 64}, "width is 32, set by --model-args hidden_size"),
    ],
)
def test_what_a_layer_is_called_with_is_said_where_it_fails(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        check_model(recipe_of("vsc_delta", f"{FILE}:{name}", mixer_args=arguments), CPU)


def test_a_parameter_without_a_gradient_is_refused_in_several_processes_alone():
    recipe = recipe_of("vsc_delta", f"{FILE}:Idles")
    check_model(recipe, CPU)
    with pytest.raises(ValueError, match=r"parameter model\.mixer\.0\.unused gets no gradient"):
        check_model(recipe, CPU, 2)
    check_model(find_recipe("swap-delta"), CPU, 2)


def test_only_types_with_a_head_of_ours_are_suggested():
    for model in ("vit_ma", "clipp", "resnett"):
        with pytest.raises(ValueError) as error:
            build_model(recipe_of(model))
        assert not any(f"'{bad}'" in str(error.value) for bad in ("vit_mae", "clip", "resnet"))
    with pytest.raises(ValueError, match="did you mean 'vsc_delta'"):
        build_model(recipe_of("vsc_dleta"))
