"""Bytes <-> objects: RESP, peer frames, the write-ahead log, snapshots."""
