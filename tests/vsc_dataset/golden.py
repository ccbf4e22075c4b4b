"""Golden values: what a new version of the dataset alone may change.

`python -m tests.vsc_dataset.golden` prints the values of this tree in the form of golden.toml.
"""

import hashlib
import tomllib
from pathlib import Path

from vsc_dataset import CONFIGS, DATA_VERSION, Samples, sample, split_of
from vsc_dataset.generator.hashing import sample_state, word

GOLDEN = tomllib.loads((Path(__file__).parent / "golden.toml").read_text("utf-8"))


def first_samples(name: str, split: str) -> Samples:
    """Draw the first samples of a split; fewer of a grid's."""
    return sample(name, split, range(20 if CONFIGS[name].grid_nops else 1_000))


def digest(samples: Samples) -> str:
    """SHA-256 of samples as lines "question TAB answer NEWLINE".

    In the layout "tokens" the ids follow after another tab.
    """
    rows = zip(samples.questions(), samples.answers(), strict=True)
    lines = [f"{question}\t{answer}" for question, answer in rows]
    if samples.layout == "tokens":
        ids = zip(lines, samples.labels.tolist(), strict=True)
        lines = [f"{line}\t{' '.join(map(str, labels))}" for line, labels in ids]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


ADDED = ("copy", "select", "track")
"""Configurations that came later: adding one changes no sample, so no version."""


def combined(rows: dict[str, str]) -> str:
    """One digest of all samples: what a version of the dataset stands for."""
    of_version = {p: v for p, v in rows.items() if p.split()[0] not in ADDED}
    text = "".join(f"{place} {value}\n" for place, value in sorted(of_version.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Print all golden values; refuse samples that differ under a version that has others."""
    rows = {
        f"{name} {split}": digest(first_samples(name, split))
        for name, config in CONFIGS.items()
        for split in config.splits
    }
    versions = GOLDEN.get("versions", {})
    if versions.get(DATA_VERSION, combined(rows)) != combined(rows):
        raise SystemExit(
            f"other rows than version {DATA_VERSION} has: raise DATA_VERSION in configs.py"
        )
    print("[versions]  # the digest of all rows below, by version of the dataset")
    for version, value in {**versions, DATA_VERSION: combined(rows)}.items():
        print(f'"{version}" = "{value}"')
    print()
    print("[words]  # word j of row i under a key: key, i, j = value")
    near = [(0, 0, 0), (0, 0, 1), (1, 0, 0), (0, 1, 0)]
    for key, i, j in [*near, (0, 10**12, 3), (2**64 - 1, 1, 4095)]:
        print(f'"{key} {i} {j}" = "{word(sample_state(key, i), j):#018x}"')
    print("\n[keys]  # of the split's rows under seed 0, and of train under seed 1")
    for name, config in CONFIGS.items():
        for split in config.splits:
            print(f'"{name} {split} 0" = "{config.sample_spec(split).key():#018x}"')
        if "train" in config.splits:
            print(f'"{name} train 1" = "{config.sample_spec("train").key(1):#018x}"')
    print("\n[splits]")
    questions = {
        question: None  # configurations share held-out questions: each is listed once
        for name, config in CONFIGS.items()
        if not config.grid_nops
        for split in config.splits
        for question in sample(name, split, range(2)).questions()
    }
    for question in questions:
        print(f'"{question}" = "{split_of(question)}"')
    print("\n[rows]  # see digest()")
    for place, value in rows.items():
        print(f'"{place}" = "{value}"')


if __name__ == "__main__":
    main()
