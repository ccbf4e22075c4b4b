"""No model sees the padding, and each gives the same logits wherever they are wanted."""

import pytest
import torch

from tests.vsc_models.models import MODELS, model_of
from tests.vsc_models.questions import ANSWER, QUESTIONS, close, logits, rows
from vsc_models.configuration_vsc import VOCABULARIES

every_model = pytest.mark.parametrize("name", MODELS)


@every_model
@pytest.mark.parametrize("padding", ["spaces", "letters", "masked", "masked on either side"])
def test_a_row_gives_the_same_logits_alone_and_in_any_batch(name, padding):
    model, left = model_of(name), 7 * padding.endswith("either side")
    (ids, keep), place = rows(length=70, left=left), torch.arange(70)
    real = (place >= left) & (place <= keep[:, -1:])
    mask = {"attention_mask": real.long()} if padding.startswith("masked") else {}
    written = ids.masked_fill(~real, 65) if padding == "letters" else ids
    for question, row, shown in zip(
        QUESTIONS, logits(model, input_ids=written, **mask), real, strict=True
    ):
        alone, _ = rows([question], length=len(question) + ANSWER)
        assert close(row[shown], logits(model, input_ids=alone)[0])


@every_model
def test_rows_of_tokens_are_read_as_rows_of_bytes_are(name):
    model, ids = model_of(name, layout="tokens", **VOCABULARIES["tokens"]), torch.ones(2, 17).long()
    for row, length in zip(ids, (17, 12), strict=True):
        row[:length] = torch.randint(2, 731, (length,))
        row[length - 5 : length] = model.config.mask_token_id
    together = logits(model, input_ids=ids)
    assert together.shape == (2, 17, 731)
    assert close(together[1, :12], logits(model, input_ids=ids[1:, :12])[0])


@every_model
def test_a_row_of_padding_alone_gives_numbers(name):
    model, (ids, _) = model_of(name), rows()
    mask = torch.ones_like(ids)
    mask[1] = 0
    output = model(input_ids=ids, attention_mask=mask, labels=ids)
    output.loss.backward()
    assert output.logits.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


@every_model
def test_without_padding_a_mask_changes_nothing(name):
    hiding, showing = model_of(name), model_of(name, mask_padding=False)
    ids = torch.tensor([list(b"ABCDE:1>2:BACDE  "), list(b"ABCDE:1>2:" + bytes(7))])
    assert close(logits(hiding, input_ids=ids), logits(showing, input_ids=ids))


@pytest.mark.parametrize("name", ["conv", "attention", "delta"])
def test_mask_padding_false_shows_the_padding(name):
    model, (ids, keep) = model_of(name, mask_padding=False), rows()
    shown = logits(model, input_ids=ids, answer_positions=keep)
    other = ids.masked_fill(torch.arange(31) > keep[:, -1:], 65)
    assert not close(shown, logits(model, input_ids=other, answer_positions=keep))
    everything = torch.ones_like(ids)
    hiding = model_of(name)
    assert close(
        shown, logits(hiding, input_ids=ids, attention_mask=everything, answer_positions=keep)
    )


@every_model
def test_wanted_logits_agree_with_all_logits(name):
    model, (ids, keep) = model_of(name), rows()
    keep = keep.flip(1)
    everywhere = logits(model, input_ids=ids)
    assert everywhere.shape == (3, 31, 256)
    wanted = logits(model, input_ids=ids, answer_positions=keep)
    assert close(wanted, everywhere.gather(1, keep[:, :, None].expand(-1, -1, 256)))


@every_model
def test_every_weight_learns(name):
    model, (ids, keep) = model_of(name), rows()
    model(input_ids=ids, labels=ids.clamp(65), answer_positions=keep).loss.backward()
    assert [n for n, w in model.named_parameters() if w.grad is None or not w.grad.any()] == []


@every_model
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_within_two_percent_and_trains_on_a_loss_in_float32(name, autocast):
    model, (ids, keep) = model_of(name), rows()
    truth = logits(model, input_ids=ids, answer_positions=keep)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        model = model if autocast else model.bfloat16()
        output = model(input_ids=ids, labels=ids, answer_positions=keep)
    assert autocast or output.logits.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32
    assert (output.logits - truth).norm() / truth.norm() <= 2e-2
    output.loss.backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


@every_model
def test_initialization_depends_on_the_seed_alone(name):
    first, second, other = (model_of(name, seed) for seed in (1, 1, 2))
    for weight in first.state_dict():
        assert torch.equal(first.state_dict()[weight], second.state_dict()[weight])
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
