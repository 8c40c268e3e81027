"""The runtime without a broker: real RocksDB, real files."""
