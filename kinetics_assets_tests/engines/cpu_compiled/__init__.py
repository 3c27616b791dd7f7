"""Tests of the CPU engine's compiled kernels."""
