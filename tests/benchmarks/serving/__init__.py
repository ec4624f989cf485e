"""Serving measured beside its peers, on one machine with a scripted model.

`upstream` is the model, `load` opens streams, and `python -m tests.benchmarks.serving` runs both
against the product and its peers.
"""
