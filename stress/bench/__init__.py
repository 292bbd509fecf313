"""Benchmarks of real runs: real processes, a real store, counts taken where they happen.

``python -m stress bench`` measures one setting; `stress.bench.rows` measures every row of the table in
``docs/benchmarks.md`` that a real run can give. No time is asserted: a figure is printed with the lowest and the
highest of its repetitions.
"""
