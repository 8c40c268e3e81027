"""Benchmarks: side by side with other engines, in one run, printed as ratios."""
