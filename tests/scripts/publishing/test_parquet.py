"""Files of rows: whole or not at all."""

import hashlib
from dataclasses import replace

import pytest

from scripts.publishing import parquet
from scripts.publishing.parquet import faults, shards_of, stands, write_shard
from vsc_dataset import CONFIGS


def test_a_failure_in_the_middle_leaves_the_old_file_and_no_new_one(tmp_path, monkeypatch):
    config = CONFIGS["grid-len3"]
    first, second = parquet.shards_of("grid-len3", config)[:2]
    parquet.write_shard(tmp_path, config, first)
    old = (tmp_path / first.path).read_bytes()

    def failing(config, shard):
        yield from real(config, shard)
        raise OSError("no space left on device")

    real = parquet.tables
    monkeypatch.setattr(parquet, "tables", failing)
    monkeypatch.setattr(parquet, "DATA_VERSION", "9.9.9")
    for shard in (first, second):
        with pytest.raises(OSError, match="no space"):
            parquet.write_shard(tmp_path, config, shard)
    assert (tmp_path / first.path).read_bytes() == old
    assert not (tmp_path / second.path).exists()


def test_any_flipped_bit_at_the_end_of_a_file_is_one_fault(tmp_path):
    config = replace(CONFIGS["swap-nops2"], num_test=3)
    (shard,) = (one for one in shards_of("swap-nops2", config) if one.split == "test")
    write_shard(tmp_path, config, shard)
    path = tmp_path / shard.path
    good = path.read_bytes()
    for at in range(len(good) - 1200, len(good), 2):
        for bit in (0, 4, 6):
            path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
            (fault,) = faults(tmp_path, config, shard, hashlib.sha256(good).hexdigest())
            assert fault.startswith(shard.path)
            stands(tmp_path, shard)  # says yes or no and raises nothing
