"""The pipeline reads what the data holds, and a saved one answers alike where we are not."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, pipeline
from transformers.modeling_outputs import MaskedLMOutput
from transformers.pipelines import PIPELINE_REGISTRY, base

from tests.commands import run_alone
from tests.vsc_dataset.cases import programs
from tests.vsc_models import own_layers
from tests.vsc_models.models import ONE_OF_EACH, model_of, moved_model
from vsc_dataset import Program, execute, parse
from vsc_dataset.encoding import encode
from vsc_models import (
    VscDeltaConfig,
    VscDeltaForMaskedLM,
    VscMixerConfig,
    VscMixerForMaskedLM,
)
from vsc_models.configuration_vsc import VOCABULARIES
from vsc_models.pipeline_vsc import VscPipeline, lay_out, register_pipeline

QUESTIONS = ["NPFKT:5>4 3>1", "AB:", "YNP: 3>1, -3, 2>1", "ABCDE:-1 -2 +3 1>2 2>1 1>3", "Z:-1"]

USER_CODE = """
import json, sys
from pathlib import Path
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer, pipeline

questions, found = json.loads(sys.argv[2]), {}
try:
    import vsc_models
except ModuleNotFoundError:
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        assert AutoConfig.from_pretrained(folder, trust_remote_code=True).answer_width == 5
        if folder.name == "broken":
            try:
                AutoModelForMaskedLM.from_pretrained(folder, trust_remote_code=True)
            except ValueError as error:
                found[folder.name] = str(error)
            continue
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
        assert tokenizer("A:\\0")["input_ids"] in ([65, 58, 0], [3, 2, 0])
        pipe = pipeline("vsc", model=str(folder), trust_remote_code=True, device="cpu")
        logits = [pipe.forward(pipe.preprocess(text))["logits"].tolist() for text in questions]
        pipe.save_pretrained("again")
        again = pipeline("vsc", model="again", trust_remote_code=True, device="cpu")
        found[folder.name] = [pipe(questions), again(questions), logits]
    print(json.dumps(found))
"""

LAYOUTS = ("compact", "spaced")


class KnowingModel(VscDeltaForMaskedLM):
    """Answers right, with a logit of 6 where the others have 0, and notes its inputs."""

    def __init__(self, config):
        super().__init__(config)
        self.modes, self.batches = [], []

    def forward(self, input_ids, attention_mask):
        self.modes.append(self.training)
        self.batches.append(len(input_ids))
        logits = torch.zeros(*input_ids.shape, 256)
        for row, real, out in zip(input_ids, attention_mask.bool(), logits, strict=True):
            assert (row[~real] == 32).all()
            letters, operations, field = bytes(row[real].tolist()).decode("ascii").split(":")
            program = parse(f"{letters}:{operations}")
            assert program.layout == self.config.layout or not program.operations
            answer = program.answer.ljust(field.count("\0")).encode("ascii")
            for place, byte in zip((row == 0).nonzero()[:, 0], answer, strict=True):
                out[place, byte] = 6.0
        return MaskedLMOutput(logits=logits)


def ask(model):
    register_pipeline()
    return pipeline("vsc", model=model, device="cpu")


def logits(pipe, question, **widths):
    return pipe.forward(pipe.preprocess(question, **widths))["logits"]


def line(error):
    """The message of a caught error, which is one line."""
    assert "\n" not in str(error.value)
    return str(error.value)


PIPES = {
    layout: VscPipeline(moved_model("delta", answer_width=5, layout=layout), device="cpu")
    for layout in LAYOUTS
}
PIPE = PIPES["compact"]


@given(programs(), st.sampled_from(LAYOUTS), st.integers(26, 30), st.integers(0, 9))
def test_a_question_is_laid_out_as_the_data_holds_it(program, layout, width, padding):
    program_of_layout = Program(program.letters, program.operations, layout)
    length = len(program_of_layout.prompt) + width + padding
    ids, _ = encode(program_of_layout, length, width)
    row = lay_out(str(program), width, layout)
    assert row.encode("ascii").ljust(length) == ids.tobytes()

    model_input = PIPES[layout].preprocess(str(program), answer_width=width, pad_to=length)
    assert model_input["input_ids"].tolist() == [ids.tolist()]
    assert model_input["attention_mask"].sum() == length - padding


@given(programs(), st.integers(0, 60), st.sampled_from(":>-+ ,0123456789AZaé\0\n"), st.booleans())
def test_it_refuses_what_the_language_refuses_and_nothing_else(program, place, character, replace):
    text = str(program)
    place %= len(text) + 1
    text = text[:place] + character + text[place + replace :]
    try:
        expected = parse(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"^question "):
            lay_out(text, 26)
    else:
        assert lay_out(text, 26) == expected.prompt + "\0" * 26
        compact = Program(expected.letters, expected.operations)
        assert lay_out(text, 26, "compact") == compact.prompt + "\0" * 26


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_it_answers_questions_of_both_layouts_in_the_models_own(layout, batch_size):
    pipe = ask(KnowingModel(VscDeltaConfig(answer_width=5, layout=layout)))
    results = pipe(QUESTIONS, batch_size=batch_size)
    assert [result["question"] for result in results] == QUESTIONS
    assert [result["answer"] for result in results] == [execute(text) for text in QUESTIONS]
    assert pipe.model.batches[0] == batch_size
    assert pipe(QUESTIONS[2]) == results[2]


def test_the_confidence_is_one_probability_for_each_byte_of_the_answer_field():
    pipe = ask(KnowingModel(VscDeltaConfig(answer_width=5)))
    chance = math.exp(6) / (math.exp(6) + 255)
    assert pipe("YNP:3>1 -3")["confidence"] == pytest.approx([chance] * 5)
    wide = pipe("YNP:3>1 -3", answer_width=9)
    assert wide["confidence"] == pytest.approx([chance] * 9)
    assert wide["answer"] == "PN"  # without padding


def test_the_logits_are_those_of_the_answer_field():
    pipe = ask(moved_model("delta", answer_width=5))
    ids, _ = encode(parse("NPFKT:5>4"), 15, 5)
    with torch.no_grad():
        all_logits = pipe.model(input_ids=torch.tensor([ids.tolist()])).logits
    assert torch.equal(logits(pipe, "NPFKT:5>4"), all_logits[:, 10:])


def test_a_question_has_the_same_logits_alone_in_a_batch_and_padded():
    pipe = ask(moved_model("delta", answer_width=5))
    alone = [pipe(question)["confidence"] for question in QUESTIONS]
    assert len({tuple(confidence) for confidence in alone}) == len(QUESTIONS)
    for settings in ({"batch_size": 2}, {"batch_size": 5}, {"pad_to": 99}):
        for result, confidence in zip(pipe(QUESTIONS, **settings), alone, strict=True):
            assert result["confidence"] == pytest.approx(confidence, abs=1e-5)


def test_a_model_without_a_padding_mask_must_be_told_the_width_of_its_rows():
    pipe = ask(moved_model("delta", answer_width=5, mask_padding=False))
    with pytest.raises(ValueError, match="mask_padding=False") as error:
        pipe("NPFKT:5>4")
    assert "give pad_to=" in line(error)
    ids, _ = encode(parse("NPFKT:5>4"), 20, 5)
    with torch.no_grad():
        all_logits = pipe.model(input_ids=torch.tensor([ids.tolist()])).logits
    assert torch.equal(logits(pipe, "NPFKT:5>4", pad_to=20), all_logits[:, 10:15])
    assert not torch.allclose(logits(pipe, "NPFKT:5>4", pad_to=16), all_logits[:, 10:15], atol=1e-3)
    told = ask(moved_model("delta", answer_width=5, mask_padding=False, row_width=20))
    assert torch.equal(logits(told, "NPFKT:5>4"), all_logits[:, 10:15])


@pytest.mark.parametrize("layout, row", [(None, "YNP: 3>1: "), ("compact", "YNP:3>1:")])
@pytest.mark.parametrize("said_by", ["argument", "config"])
def test_a_model_of_another_architecture_has_its_layout_or_the_questions_own(layout, row, said_by):
    config = GPT2Config(vocab_size=256, n_embd=8, n_layer=1, n_head=1)
    if said_by == "config" and layout:
        config.layout = layout
    pipe = VscPipeline(GPT2LMHeadModel(config), device="cpu")
    chosen = {"layout": layout} if said_by == "argument" and layout else {}
    ids = pipe.preprocess("YNP: 3>1", answer_width=3, **chosen)["input_ids"]
    assert bytes(ids[0].tolist()).decode() == row + "\0\0\0"
    with pytest.raises(ValueError, match=r"layout='wide' is unknown: use one of \['compact', 'sp"):
        pipe("YNP: 3>1", answer_width=3, layout="wide")


@pytest.mark.parametrize(
    "question, words",
    [
        ("NPFKT", "no colon"),
        ("NPFKT:5>4:", "ends before the second colon"),
        (":1>2", "distinct capitals"),
        ("NPN:1>2", "distinct capitals"),
        ("NPF:1>2  2>1", "operation 2 '' is none of"),
        ("NPF: 1>2 2>1", "separated by ', '"),
        ("NPF:0>2", "operation 1 '0>2' is none of"),
        ("NPF:1>1\u0662", "operation 1 '1>1\u0662' is none of"),
        ("NPF:1>4", "operation 1 '1>4' is impossible: 3 letters are present, 0 on the stack"),
        ("NPF:-1 +3", "operation 2 '+3' is impossible: 2 letters are present, 1 on the stack"),
        ("NPF:2>2", "operation 1 '2>2' is impossible"),
        ("NPFKTA:1>2", "its answer has 6 letters, the answer field 5"),
        (7, "a question is a text such as"),
        ({"question": "NPF:1>2"}, "a question is a text such as"),
    ],
)
def test_what_is_no_question_is_one_clear_line(question, words):
    with pytest.raises(ValueError) as error:
        PIPE(question)
    assert words in line(error)


@pytest.mark.parametrize("question", ["x" * 10**6, "AB:1>" + "9" * 5000, "AB:" + "1>2 " * 10**5])
def test_a_long_question_is_one_short_line(question):
    with pytest.raises(ValueError) as error:
        PIPE(question)
    assert len(line(error)) < 400


def test_an_answer_may_be_shorter_than_the_letters():
    assert len(PIPE("NPFKTA:-1")["confidence"]) == 5


def test_a_question_too_long_is_one_clear_line():
    assert PIPE("NPF:1>2", pad_to=13)
    with pytest.raises(ValueError) as error:
        PIPE("NPF:1>2", pad_to=12)
    wanted = "question 'NPF:1>2': its row has 13 bytes with the answer field, pad_to allows 12"
    assert line(error) == wanted
    pipe = ask(moved_model("delta", answer_width=5, max_position_embeddings=13))
    assert pipe("NPF:1>2", pad_to=13)
    for question, widths in (("NPF:1>2 1>2", {}), ("NPF:1>2", {"pad_to": 14})):
        with pytest.raises(ValueError, match="max_position_embeddings allows 13") as error:
            pipe(question, **widths)
        assert line(error)


def test_without_an_answer_width_it_must_be_given():
    model = moved_model("delta")
    with pytest.raises(ValueError) as error:
        ask(model)("NPF:1>2")
    assert line(error) == "the model's config has no answer_width: give answer_width="
    register_pipeline()
    for_all = pipeline("vsc", model=model, device="cpu", answer_width=4)
    assert len(for_all("NPF:1>2")["confidence"]) == 4
    assert len(for_all("NPF:1>2", answer_width=6)["confidence"]) == 6


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", True])
@pytest.mark.parametrize("name", ["answer_width", "pad_to"])
def test_a_width_that_cannot_be_is_one_clear_line(name, value):
    with pytest.raises(ValueError) as error:
        PIPE("NPF:1>2", **{name: value})
    assert line(error) == f"{name}={value!r}: give a number of tokens, 1 or more"


def test_an_unknown_keyword_is_refused():
    with pytest.raises(TypeError, match="answer_with"):
        PIPE("NPF:1>2", answer_with=3)


def test_a_model_in_training_is_evaluated_in_eval_mode_and_left_in_training():
    model = KnowingModel(VscDeltaConfig(answer_width=5)).train()
    ask(model)("NPF:1>2")
    assert model.modes == [False]
    assert model.training


def test_registering_again_is_silent(monkeypatch):
    warnings = []
    monkeypatch.setattr(base.logger, "warning", warnings.append)
    monkeypatch.setattr(PIPELINE_REGISTRY, "supported_tasks", {})
    register_pipeline()
    register_pipeline()
    assert PIPELINE_REGISTRY.supported_tasks["vsc"]["impl"] is VscPipeline
    assert not warnings


def test_a_model_saved_without_tokenizer_or_pipeline_is_loaded_by_its_folder(tmp_path):
    model = moved_model("delta", answer_width=5, layout="spaced")
    model.save_pretrained(tmp_path)
    assert ask(str(tmp_path))(QUESTIONS) == ask(model)(QUESTIONS)


def test_a_process_without_our_package_gives_the_same_answers_logits_and_errors(tmp_path):
    how = {name: {"layout": LAYOUTS[i % 2]} for i, name in enumerate(ONE_OF_EACH)}
    how["causal delta"] = {"objective": "next-token", "layout": "tokens", **VOCABULARIES["tokens"]}
    pipes = {name: ask(moved_model(name, answer_width=5, **more)) for name, more in how.items()}
    layer = VscMixerConfig(mixer=f"{own_layers.__file__}:WithBuffers", answer_width=5)
    pipes["layer of a file"] = ask(VscMixerForMaskedLM(layer).eval())
    for name, pipe in pipes.items():
        folder = str(tmp_path / "saved" / name)
        pipe.save_pretrained(folder)
        if name in how:  # a layer of a file needs trust
            here = pipeline("vsc", model=folder, pipeline_class=VscPipeline, device="cpu")
            assert here(QUESTIONS) == pipe(QUESTIONS)
    broken = shutil.copytree(folder, tmp_path / "saved" / "broken")
    save_file({}, broken / "model.safetensors", {"format": "pt"})

    user_run = run_alone(USER_CODE, tmp_path / "saved", json.dumps(QUESTIONS), cwd=tmp_path)
    assert user_run.exit_code == 0, user_run.stderr
    theirs = json.loads(user_run.stdout)
    assert theirs.pop("broken").startswith(f"{broken}: tensor 'lm_head.weight' is missing")
    assert theirs.keys() == pipes.keys()
    for name, (results, saved_again, their_logits) in theirs.items():
        assert results == saved_again == pipes[name](QUESTIONS)
        for question, mine in zip(QUESTIONS, their_logits, strict=True):
            assert torch.equal(torch.tensor(mine), logits(pipes[name], question))


def test_lists_columns_arrays_iterators_and_workers_give_the_same_results():
    questions = ["NPFKT:1>2", "ABC:1>2 2>3"]
    expected = [PIPE(question) for question in questions]
    column = Dataset.from_dict({"question": questions})["question"]
    for many in (questions, column, tuple(questions), np.array(questions)):
        assert PIPE(many) == expected
    for iterator in (iter(questions), (question for question in questions)):
        assert [*PIPE(iterator)] == expected
    assert PIPE(questions, num_workers=1) == expected
    assert PIPE(()) == PIPE([]) == []


def of_objective(architecture, objective, layout):
    """The pipeline of a random causal model that was trained in this way."""
    how = {"objective": objective, "layout": layout, "answer_width": 5, **VOCABULARIES[layout]}
    if architecture == "delta":
        return ask(moved_model("causal delta", **how))
    ends = {"bos_token_id": None, "eos_token_id": None}
    torch.manual_seed(3)
    model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, **how, **ends)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) / 5)
    return VscPipeline(model, device="cpu")


def one_pass(model, prompt, completion):
    """Whether every argmax given the right prefix is right, from one forward pass."""
    ids = torch.tensor([prompt + completion])
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].argmax(-1)
    return found[len(prompt) - 1 : -1].tolist() == completion


@pytest.mark.parametrize("layout", ["compact", "spaced", "tokens"])
@pytest.mark.parametrize("architecture", ["gpt2", "delta"])
def test_greedy_decoding_is_right_exactly_where_one_pass_is(architecture, layout):
    questions = ["NPFKT:5>4 3>1", "YNP:3>1 -3 2>1", "ABCDE:-1 -2 +3 1>2 2>1 1>3", "Z:"]
    pipe = of_objective(architecture, "next-token", layout)
    for question, result in zip(questions, pipe(questions, batch_size=3), strict=True):
        places = pipe.preprocess(question)["input_ids"][0].tolist()
        prompt, decoded = places[:-5], logits(pipe, question)[0].argmax(-1).tolist()
        assert pipe(question)["answer"] == result["answer"]
        assert one_pass(pipe.model, prompt, decoded)
        for place in range(5):
            other = [*decoded[:place], decoded[place] ^ 1, *decoded[place + 1 :]]
            assert not one_pass(pipe.model, prompt, other)


@pytest.mark.parametrize("layout", ["compact", "tokens"])
def test_a_scratchpad_is_decoded_before_its_answer(layout):
    pipe = of_objective("gpt2", "scratchpad", layout)
    ids = pipe.preprocess("YNP:3>1 -3")["input_ids"][0]
    prompt, places = ids[ids > 0], (ids == 0).sum().item()
    assert places == len("PNY PN:") + 5
    # A space is padding's byte: without a mask `generate` takes those of the question for it.
    given = {"input_ids": prompt[None], "attention_mask": torch.ones_like(prompt)[None]}
    theirs = pipe.model.generate(**given, max_new_tokens=places, do_sample=False)[0, -5:]
    assert logits(pipe, "YNP:3>1 -3")[0].argmax(-1).tolist() == theirs.tolist()
    with pytest.raises(ValueError, match="'YNP:': no operation, so its scratchpad would be empty"):
        pipe("YNP:")


def test_a_model_of_tokens_reads_no_bytes_and_the_other_way_around():
    for trained, layout in (("tokens", "compact"), ("spaced", "tokens")):
        pipe = of_objective("delta", "next-token", trained)
        words = f"layout='{layout}' is not what this model was trained in: use '{trained}'"
        with pytest.raises(ValueError, match=words):
            pipe("YNP:3>1", layout=layout)


def test_an_answer_in_tokens_is_written_in_letters():
    model = model_of("delta", layout="tokens", answer_width=5, **VOCABULARIES["tokens"])
    answer = torch.full((1, 5, 731), 0.0)
    answer[0, range(5), [3, 28, 40, 1, 1]] = 9.0
    result = ask(model).postprocess({"logits": answer, "question": "AZ:"})
    assert result["answer"] == "AZ?"


@pytest.mark.parametrize("layout, highest", [("compact", 84), ("tokens", 132)])
def test_a_model_of_another_vocabulary_is_one_clear_line_or_writes_question_marks(layout, highest):
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 1, "bos_token_id": None, "eos_token_id": None}
    sizes |= {"layout": layout, "answer_width": 5}
    small = GPT2LMHeadModel(GPT2Config(vocab_size=60, **sizes))
    words = f"its row has the token id {highest}, and the model's vocab_size is 60: it was made"
    with pytest.raises(ValueError, match=words):
        VscPipeline(small, device="cpu")(QUESTIONS[0])
    large = VscPipeline(GPT2LMHeadModel(GPT2Config(vocab_size=1000, **sizes)), device="cpu")
    logits = torch.full((1, 5, 1000), 0.0)
    logits[0, range(5), 900] = 9.0
    assert large.postprocess({"logits": logits, "question": "AZ:"})["answer"] == "?????"


def test_an_unknown_objective_is_one_clear_line():
    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, objective="fil"))
    with pytest.raises(ValueError, match="objective is 'fil' in the model's config: use one of"):
        VscPipeline(model, device="cpu")
