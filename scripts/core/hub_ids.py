"""The id of a repository and the token of the hub -> nothing, or the one line that refuses them."""

import re

from huggingface_hub import get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]


def check_repo_id(repo: str, called: str) -> None:
    """Raise a ValueError unless the hub would take this id.

    Args:
      repo: "owner/name".
      called: the flag before it, such as "--push-to-hub".

    >>> check_repo_id("acme/vsc", "REPO")
    >>> check_repo_id("vsc", "REPO")
    Traceback (most recent call last):
    ValueError: REPO 'vsc' is not a repository: write OWNER/NAME, such as my-org/vsc
    """
    words = f"{called} {repo!r} is not a repository: write OWNER/NAME, such as my-org/vsc"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII):
        raise ValueError(words)
    try:
        validate_repo_id(repo)
    except HFValidationError:
        raise ValueError(
            f"{words}; no name begins or ends with '-' or '.', holds '--' or '..', ends with "
            "'.git' or is longer than 96 characters"
        ) from None


def check_token() -> None:
    """Raise a ValueError for a token that no request can carry; none is none's business here."""
    if not (get_token() or "").isascii():
        raise ValueError("the token holds characters outside ASCII: copy it again into HF_TOKEN")
