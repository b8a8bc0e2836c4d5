"""Benchmarks: ``python -m benchmarks.<name>`` prints ratios measured side by side in one process."""
