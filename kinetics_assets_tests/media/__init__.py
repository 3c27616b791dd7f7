"""Tests of `kinetics_assets.media`."""
