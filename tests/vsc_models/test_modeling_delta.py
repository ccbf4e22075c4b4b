"""What every VSC model promises, held on the delta model."""

import pytest
import torch

from tests.vsc_models.questions import ANSWER, QUESTIONS, close, logits, rows
from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM


def model_of(seed=0, **fields):
    torch.manual_seed(seed)
    return VscDeltaForMaskedLM(VscDeltaConfig(**fields)).eval()


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("length", [31, 45, 200])
def test_padding_is_invisible(steps, length):
    model = model_of(num_householder=steps)
    ids, _ = rows(length=length)
    together = logits(model, input_ids=ids)
    for question, row in zip(QUESTIONS, together, strict=True):
        alone, _ = rows([question], length=len(question) + ANSWER)
        assert close(row[: alone.shape[1]], logits(model, input_ids=alone)[0])


def test_what_stands_in_the_padding_is_invisible():
    model, (ids, keep) = model_of(), rows()
    other = ids.masked_fill(torch.arange(31) > keep[:, -1:], 65)
    assert close(
        logits(model, input_ids=ids, answer_positions=keep),
        logits(model, input_ids=other, answer_positions=keep),
    )


def test_attention_mask_hides_padding_on_either_side():
    model, (ids, keep) = model_of(), rows()
    padded, keep_padded = rows(length=60, left=7)
    place = torch.arange(60)
    mask = ((place >= 7) & (place <= keep_padded[:, -1:])).long()
    assert close(
        logits(model, input_ids=ids, answer_positions=keep),
        logits(model, input_ids=padded, attention_mask=mask, answer_positions=keep_padded),
    )


def test_a_row_without_mask_bytes_has_no_padding():
    model, ids = model_of(), torch.tensor([list(b"ABCDE:1>2:BACDE  ")])
    everything = torch.ones_like(ids)
    assert torch.equal(
        logits(model, input_ids=ids), logits(model, input_ids=ids, attention_mask=everything)
    )


def test_mask_padding_false_shows_the_padding():
    model, (ids, keep) = model_of(mask_padding=False), rows(length=31)
    longer, _ = rows(length=45)
    shown = logits(model, input_ids=ids, answer_positions=keep)
    assert not close(shown, logits(model, input_ids=longer[:, :33], answer_positions=keep))
    everything = torch.ones_like(ids)
    hiding = model_of()
    assert close(
        shown, logits(hiding, input_ids=ids, attention_mask=everything, answer_positions=keep)
    )


@pytest.mark.parametrize("chunk_size", [8, 64])
def test_wanted_logits_agree_with_all_logits(chunk_size):
    model, (ids, keep) = model_of(chunk_size=chunk_size, num_householder=2), rows()
    everywhere = logits(model, input_ids=ids)
    assert everywhere.shape == (3, 31, 256)
    wanted = logits(model, input_ids=ids, answer_positions=keep)
    assert wanted.shape == (3, ANSWER, 256)
    assert close(wanted, everywhere.gather(1, keep[:, :, None].expand(-1, -1, 256)))


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


def test_loss_is_float32_in_bfloat16():
    model, (ids, _) = model_of().bfloat16(), rows()
    output = model(input_ids=ids, labels=ids)
    assert output.logits.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32


def test_every_weight_learns():
    model, (ids, keep) = model_of(), rows()
    model(input_ids=ids, labels=ids.clamp(65), answer_positions=keep).loss.backward()
    idle = [name for name, weight in model.named_parameters() if not weight.grad.any()]
    assert idle == []


def test_output_weights_are_the_embedding():
    model = model_of()
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model_of(tie_word_embeddings=False).num_parameters() - model.num_parameters() == 256 * 32


def test_initialisation_depends_on_the_seed_alone():
    first, second, other = model_of(1), model_of(1), model_of(2)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


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


def test_the_old_name_of_the_answer_positions_is_taken_for_one_release():
    model, (ids, keep) = model_of(), rows()
    with pytest.warns(FutureWarning, match="logits_to_keep is called answer_positions now"):
        old = logits(model, input_ids=ids, logits_to_keep=keep)
    assert torch.equal(old, logits(model, input_ids=ids, answer_positions=keep))
