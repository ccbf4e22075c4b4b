"""Files of rows: whole or not at all."""

import pytest

from vsc_dataset import CONFIGS, parquet


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
