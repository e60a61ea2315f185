"""Benchmarks: side by side with others, ratios into bench/results/."""
