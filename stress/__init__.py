"""Chaos runs, simulations and benchmarks: ``python -m stress``. Not part of the wheel."""
