"""Shared cases: the article's examples and strategies that draw programs and configurations."""

from dataclasses import replace

from hypothesis import strategies as st

from vsc_dataset import Operation, Program, TaskConfig
from vsc_dataset.language import LAYOUTS

ARTICLE = [
    ("NA: 2>1", "AN"),
    ("DQ: -1", "Q"),
    ("EJWHB: 3>5", "EJBHW"),
    ("ULHP: 3>4, 2>1", "LUPH"),
    ("YNP: 3>1, -3, 2>1", "NP"),
    ("EJACQ: 1>2, -1, +3", "EAJCQ"),
    ("YESBR: 3>5, 5>1, 1>5, 3>4", "YEBRS"),
    ("UXMP: -2, -3, 1>2, +2", "MPU"),
    ("NPFKT:5>4 3>1 1>4 4>2 1>3", "NFTPK"),
    ("UKLRM:5>1 4>2 1>4 2>4 3>2", "KLMRU"),
    ("LCEWI:3>5 3>2 4>2 3>1 3>5", "CWEIL"),
    ("LRUPX:1>4 3>2 5>4 1>3 2>1", "URPXL"),
    ("HGOKX:3>1 5>4", "OGHXK"),
    ("HSBQA:4>5 4>5", "HSBQA"),
]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Any program: 1 to 26 letters, 0 to 64 operations of all kinds, both layouts."""
    letters = draw(st.permutations("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))[: draw(st.integers(1, 26))]
    n, depth, operations = len(letters), 0, []
    for _ in range(draw(st.integers(0, 64))):
        kinds = [k for k, possible in ((">", n > 1), ("-", n), ("+", n and depth)) if possible]
        if not kinds:
            break
        kind = draw(st.sampled_from(kinds))
        x = draw(st.integers(1, n))
        if kind == ">":
            y = draw(st.integers(1, n).filter(lambda y, x=x: y != x))
            operations.append(Operation(">", x, y))
            continue
        operations.append(Operation(kind, x))
        change = -1 if kind == "-" else 1
        n, depth = n + change, depth - change
    layout = draw(st.sampled_from(["compact", "spaced"]))
    return Program("".join(letters), tuple(operations), layout)


@st.composite
def configs(draw: st.DrawFn) -> TaskConfig:
    """Configurations of many kinds, none so small that a split could be empty."""
    length = sorted(draw(st.tuples(st.integers(3, 26), st.integers(3, 26))))
    nops = sorted(draw(st.tuples(st.integers(3, 24), st.integers(3, 24))))
    operators = draw(st.sampled_from([">", ">-", ">-+"]))
    config = TaskConfig(
        length=tuple(length),
        nops=tuple(nops),
        operators=operators,
        weights=tuple(draw(st.integers(1, 5)) for _ in operators),
        num_items=draw(st.integers(length[1], 26)),
        layout=draw(st.sampled_from(list(LAYOUTS))),
        fixed_letters=nops[0] >= 8 and draw(st.booleans()),  # else a split could be empty
        answer_width=draw(st.sampled_from([None, length[1] + 3])),
    )
    # The reference takes long for complete programs that few draws reach.
    common = all(config.sample_spec(split).complete_share(nops[1]) > 0.1 for split in config.splits)
    return replace(config, complete=common and draw(st.booleans()))
