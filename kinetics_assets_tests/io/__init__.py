"""Tests of the effects: real files, real processes, real signals."""
