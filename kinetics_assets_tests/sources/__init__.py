"""Tests of `kinetics_assets.sources`."""
