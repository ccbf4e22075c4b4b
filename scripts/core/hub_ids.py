"""Check the id of a repository and the token of the hub."""

from huggingface_hub import get_token
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]


def check_repo_id(repo: str, called: str) -> None:
    """Raise a ValueError unless the hub would take this id, "owner/name".

    >>> check_repo_id("acme/vsc", "REPO")
    >>> check_repo_id("vsc", "REPO")
    Traceback (most recent call last):
    ValueError: REPO 'vsc' is not a repository: write OWNER/NAME, such as my-org/vsc
    """
    try:
        validate_repo_id(repo)
        valid = repo.isascii() and repo.count("/") == 1
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(
            f"{called} {repo!r} is not a repository: write OWNER/NAME, such as my-org/vsc"
        )


def check_token() -> None:
    """Raise a ValueError where there is no token, or one that no request can carry."""
    token = get_token()
    if token is None:
        raise ValueError("no token: set HF_TOKEN, or log in with `hf auth login`")
    if not token.isascii():
        raise ValueError("the token holds characters outside ASCII: copy it again into HF_TOKEN")
