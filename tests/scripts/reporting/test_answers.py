"""The answers of a picture."""

from scripts.reporting.answers import Answered, worst_and_best


def test_worst_and_best_are_the_answers_with_most_and_fewest_wrong_characters():
    references = ["ABC", "ABC", "ABC", "A"]
    predictions = ["ABC", "CBA", "BCA", "AX"]
    questions = ["ABC:", "CBA:1>3", "BCA:", "AX:-2"]
    blocks = worst_and_best(Answered(questions, references, predictions), 3, rows=2)
    (worst_title, worst), (best_title, best) = blocks.items()
    assert "3 of 4 answers are wrong" in worst_title
    assert "1 of 4 answers are right" in best_title
    assert [(row.question, sum(row.wrong)) for row in worst] == [("BCA:", 3), ("CBA:1>3", 2)]
    assert [(row.question, sum(row.wrong)) for row in best] == [("ABC:", 0), ("AX:-2", 1)]
