"""Benchmarks: ``python -m benchmarks.worker`` and ``python -m benchmarks.beat``; see README.md."""
