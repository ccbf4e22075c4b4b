"""Find what the results page shows: the leaderboard of the scorecards, and the pictures."""

from pathlib import Path

LEADERBOARD = "scorecards.md"


def leaderboard(folder: Path) -> str:
    """The leaderboard as Markdown, without its title, or one line where there is none."""
    path = folder / "tables" / LEADERBOARD
    if not path.is_file():
        return f"No scorecards: put {LEADERBOARD} into tables/."
    return path.read_text("utf-8").partition("\n")[2].strip()


def pictures(folder: Path) -> list[Path]:
    """All pictures of a folder: scorecards, grids, which show the horizon, then the others."""
    kinds = ("scorecard", "-grid-", "-curves", "-answers")

    def order(path: Path) -> tuple[int, str]:
        return next((i for i, kind in enumerate(kinds) if kind in path.name), len(kinds)), path.name

    return sorted(folder.glob("*.png"), key=order)
