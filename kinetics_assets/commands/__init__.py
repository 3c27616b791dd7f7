"""What the verbs of `kinetics` do, one module per verb; `kinetics_assets.cli` is their table."""
