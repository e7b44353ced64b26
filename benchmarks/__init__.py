"""comity beside etcd, Redis and PySyncObj on one machine: `python -m benchmarks --help`."""
