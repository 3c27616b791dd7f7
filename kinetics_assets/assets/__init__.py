"""The graph as Dagster sees it, one module per stage, in flow order.

Every asset is thin: its body calls one function of `kinetics_assets.stages` and reports what came
of it. `kinetics_assets.assets.datasets` puts the assets of a dataset together.
"""
