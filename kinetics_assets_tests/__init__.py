"""Tests, laid out as the package is; ``python -m kinetics_assets_tests`` runs every check."""
