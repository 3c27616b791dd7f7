"""Tests of the optical-flow engines."""
