"""Proofs with a live daemon, run by hand: they take minutes and real lists."""
