"""Tests of the CUDA engine, most of them on a device made of g++."""
