"""Tests of the executor: real processes, real signals."""
