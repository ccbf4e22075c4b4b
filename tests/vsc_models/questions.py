"""Questions as bytes -> masked rows, and what a model says of them; shared by the model tests."""

import torch

QUESTIONS = [b"NPFKT:5>4 3>1 1>4 4>2 1>3:", b"ABCDE:1>2:", b"XYZVW:2>3 5>1:"]
ANSWER = 5


def rows(questions=QUESTIONS, length=31, left=0):
    """Masked inputs (B, length), `left` spaces before them, and the answer's positions (B, 5)."""
    texts = [b" " * left + q + bytes(ANSWER) for q in questions]
    ids = torch.tensor([list(t.ljust(length)) for t in texts])
    return ids, torch.stack([torch.arange(len(t) - ANSWER, len(t)) for t in texts])


def logits(model, **inputs):
    with torch.no_grad():
        return model(**inputs).logits


def close(a, b):
    return torch.allclose(a, b, rtol=0, atol=1e-5)
