"""Measurements of rlxc, of what it emits, and of its peers. No part of the package; `python -m benchmarks --help`."""
