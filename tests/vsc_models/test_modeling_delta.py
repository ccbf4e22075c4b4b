"""What every VSC model promises, held on the delta model."""

from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModel, AutoModelForMaskedLM

from scripts.core.batches import answer_positions
from tests.vsc_models import models
from tests.vsc_models.questions import logits, rows
from vsc_dataset import sample
from vsc_dataset.configs import make_config
from vsc_dataset.vocabulary import VOCABULARIES
from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM

model_of = partial(models.model_of, "delta")


def test_a_row_without_mask_bytes_has_no_padding():
    model, ids = model_of(), torch.tensor([list(b"ABCDE:1>2:BACDE  ")])
    everything = torch.ones_like(ids)
    assert torch.equal(
        logits(model, input_ids=ids), logits(model, input_ids=ids, attention_mask=everything)
    )


def test_loss_counts_each_true_byte_once_and_padding_never():
    model, (ids, keep) = model_of(), rows()
    labels = torch.randint(65, 91, ids.shape, generator=torch.Generator().manual_seed(3))
    labels[0, 2] = -100
    output = model(input_ids=ids, labels=labels)
    counted = (torch.arange(31) <= keep[:, -1:]) & (labels != -100)
    chosen = output.logits.log_softmax(-1).gather(-1, labels.clamp(0)[:, :, None])[:, :, 0]
    assert torch.allclose(output.loss, -chosen[counted].mean())


def test_loss_at_wanted_positions_is_the_loss_there():
    model, (ids, keep) = model_of(), rows()
    labels = torch.randint(65, 91, ids.shape, generator=torch.Generator().manual_seed(3))
    answer_alone = torch.full_like(labels, -100).scatter(1, keep, labels.gather(1, keep))
    everywhere = model(input_ids=ids, labels=answer_alone).loss
    assert torch.allclose(
        model(input_ids=ids, labels=labels, answer_positions=keep).loss, everywhere
    )


def test_output_weights_are_the_embedding():
    model = model_of()
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model_of(tie_word_embeddings=False).num_parameters() - model.num_parameters() == 256 * 32


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"labels": torch.zeros(3, 30, dtype=torch.long)}, r"labels has shape \(3, 30\)"),
        ({"attention_mask": torch.ones(3, 1)}, r"attention_mask has shape \(3, 1\)"),
        ({"answer_positions": 2}, "answer_positions is 2: give a tensor of positions"),
        ({"answer_positions": torch.tensor([[1, 2]])}, r"answer_positions has shape \(1, 2\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(inputs, message):
    with pytest.raises(ValueError, match=message):
        model_of()(input_ids=rows()[0], **inputs)


def test_labels_of_the_next_token_are_refused_by_a_model_that_fills():
    ids = torch.full((2, 9), 65)
    with pytest.raises(ValueError, match=r"no mask_token_id .* objective='next-token"):
        model_of()(input_ids=ids, labels=ids)
    model_of(causal=True, objective="next-token")(input_ids=ids, labels=ids).loss.backward()


def test_the_old_name_of_the_answer_positions_is_taken_for_one_release():
    model, (ids, keep) = model_of(), rows()
    with pytest.warns(FutureWarning, match="logits_to_keep is called answer_positions now"):
        old = logits(model, input_ids=ids, logits_to_keep=keep)
    assert torch.equal(old, logits(model, input_ids=ids, answer_positions=keep))


def test_labels_are_those_of_the_next_token_where_that_is_the_objective():
    model, ids = model_of(causal=True, objective="next-token"), torch.randint(33, 91, (2, 9))
    where = torch.tensor([[5, 6], [3, 7]])
    output = model(input_ids=ids, labels=ids)
    true = cross_entropy(output.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert torch.allclose(output.loss, true)
    output = model(input_ids=ids, labels=ids, answer_positions=where)
    true = cross_entropy(output.logits.flatten(0, 1), ids.gather(1, where + 1).flatten())
    assert torch.allclose(output.loss, true)


def test_labels_outside_the_answer_mask_of_the_data_do_not_count():
    model, samples = model_of(), sample("swap-nops1-5", "train", range(4))
    ids, labels = (torch.from_numpy(x).long() for x in (samples.input_ids, samples.labels))
    answer = torch.from_numpy(samples.answer_mask)
    given = {"input_ids": ids, "labels": labels, "answer_mask": answer}
    answer_alone = model(input_ids=ids, labels=labels.masked_fill(~answer, -100)).loss
    assert torch.equal(model(**given).loss, answer_alone)
    some = model(**given, answer_positions=answer_positions(samples)).loss
    assert torch.allclose(some, answer_alone)


def test_what_people_do_with_a_checkpoint_works_or_is_one_line(tmp_path):
    model, (ids, _) = model_of(), rows()
    model.save_pretrained(tmp_path)
    for auto_class in (AutoModel, AutoModelForMaskedLM):
        for attention in ("sdpa", "eager"):
            loaded = auto_class.from_pretrained(tmp_path, attn_implementation=attention)
            assert torch.equal(loaded(ids, return_dict=False)[0], logits(model, input_ids=ids))
    refused = {
        "output_hidden_states": lambda: model(ids, output_hidden_states=True),
        "checkpointing": model.activation_checkpointing_enable,
    }
    for words, call in refused.items():
        with pytest.raises((TypeError, ValueError), match=words) as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("layout", ["compact", "tokens"])
def test_places_are_counted_from_the_last_colon(layout):
    data = make_config("swap-nops2", length=3, layout=layout)
    vocabulary = VOCABULARIES[layout]
    known = {"layout": layout, "vocab_size": vocabulary.size, "pad_token_id": vocabulary.pad}
    places = VscDeltaForMaskedLM(VscDeltaConfig(num_places=6, **known)).model.places
    with torch.no_grad():
        places.embed.weight[:] = torch.arange(6.0)[:, None]
    ids = torch.as_tensor(sample(data, "train", [0]).input_ids)
    found = places(ids, None)[0, :, 0].int().tolist()
    # NPF:1>2 2>3:___
    program = [1, 2] if layout == "tokens" else [1, 2, 3, 4, 5, 5, 5]
    assert found == [1, 2, 3, 0, *program, 0, 1, 2, 3]
