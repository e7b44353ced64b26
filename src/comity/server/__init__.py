"""The asyncio shell: sockets, fsync, threads and real time around a host that has none of them."""
