"""The metric as `evaluate` loads it: the same numbers, from any folder, in one go or in batches."""

import numpy as np
import pandas as pd
import pytest

from tests.commands import fork, join, run_alone
from vsc_dataset import METRIC_PATH, sample
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.metrics.vsc_error.trivial_baselines import baseline_predictions


@pytest.fixture(scope="module")
def answers():
    """Questions, true answers, and those of a baseline."""
    samples = sample("default", "validation", range(500))
    questions = samples.questions()
    return questions, samples.answers(), baseline_predictions(questions)["first 2"]


@pytest.fixture(scope="module")
def metric(tmp_path_factory):
    """The metric, loaded offline into a cache of its own."""
    home = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_EVALUATE_OFFLINE", "1")
        import evaluate

        patch.setattr(evaluate.config, "HF_MODULES_CACHE", str(home))
        yield evaluate.load(METRIC_PATH, cache_dir=str(home))


def test_metric_gives_the_numbers_of_error_rates(metric, answers):
    questions, references, predictions = answers
    found = metric.compute(
        predictions=predictions, references=references, questions=questions, answer_width=5
    )
    assert found == error_rates(predictions, references, questions, 5)
    assert 0 < found["mask_error_pct"] < 100


def test_batches_give_the_same_as_all_at_once(metric, answers):
    questions, references, predictions = answers
    for given in (True, False):
        for start in range(0, 500, 64):
            part = slice(start, start + 64)
            batch = {"predictions": predictions[part], "references": references[part]}
            metric.add_batch(**batch, **({"questions": questions[part]} if given else {}))
        late = {} if given else {"questions": questions}
        assert metric.compute(answer_width=5, **late) == error_rates(
            predictions, references, questions, 5
        )
    metric.add(prediction="AB", reference="AB", question="AB:")
    assert metric.compute()["by_nops"].keys() == {0}
    metric.add_batch(predictions=["A", "B"], references=["A", "B"])
    with pytest.raises(ValueError, match="1 questions for 2 references: give each batch's"):
        metric.compute(questions=["A:"])


def compute_as_process(rank, folder, answers):
    """Give one of two processes its half of the answers, in batches."""
    import evaluate

    metric = evaluate.load(
        METRIC_PATH, num_process=2, process_id=rank, cache_dir=folder, experiment_id="two"
    )
    for start in range(rank * 250, rank * 250 + 250, 50):
        questions, references, predictions = (texts[start : start + 50] for texts in answers)
        metric.add_batch(predictions=predictions, references=references, questions=questions)
    return metric.compute(answer_width=5)


@pytest.mark.usefixtures("metric")  # offline, and loaded before the fork
def test_two_processes_give_the_same_as_one(tmp_path, answers):
    with fork(compute_as_process, 1, tmp_path, answers) as other:
        rates = compute_as_process(0, tmp_path, answers)
        join(other)
    questions, references, predictions = answers
    assert rates == error_rates(predictions, references, questions, 5)


def test_metric_loads_in_a_fresh_process_from_another_folder(tmp_path):
    code = (
        "import sys, evaluate\n"
        "metric = evaluate.load(sys.argv[1])\n"
        "print(metric.compute(predictions=['AB', 'C'], references=['AB', 'D'])['sample_error_pct'])"
    )
    done = run_alone(code, METRIC_PATH, cwd=tmp_path)
    assert done.stdout.strip() == "50.0", done.stderr


@pytest.mark.parametrize(
    "answers, words",
    [
        (
            {"predictions": "NFTPK", "references": "NFPTK"},
            "predictions is the text 'NFTPK': give a",
        ),
        ({"predictions": ["A"], "references": "A"}, "references is the text 'A': give a list"),
        ({"predictions": ["\ud83d"], "references": ["A"]}, "is not a text that UTF-8 can write"),
        (
            {"predictions": {"A": 1}, "references": ["A"]},
            "predictions is of type dict: give a list",
        ),
        ({"predictions": {"A"}, "references": ["A"]}, "predictions is of type set: give a list"),
        ({"predictions": ["A"]}, "references is of type NoneType: give a list"),
        ({"predictions": ["A"], "references": [5]}, r"references\[0\] is of type int: it must be"),
    ],
)
def test_what_is_not_a_list_of_texts_is_refused_and_the_metric_goes_on(metric, answers, words):
    with pytest.raises(ValueError, match=words):
        metric.compute(**answers)
    assert metric.compute(predictions=["A"], references=["A"])["questions"] == 1


def test_columns_and_generators_are_lists_of_texts(metric):
    answers, index = ["A", "B"], [7, 9]
    for texts in (pd.Series(answers, index), (text for text in answers), np.array(answers)):
        assert metric.compute(predictions=texts, references=answers)["sample_error_pct"] == 0
    with pytest.raises(ValueError, match=r"prediction\[0\] is of type int: it must be a text"):
        metric.add(prediction=5, reference="A")


def test_the_width_may_be_numpys(metric):
    rates = metric.compute(predictions=["A"], references=["B"], answer_width=np.int64(4))
    assert rates["mask_error_pct"] == 25
