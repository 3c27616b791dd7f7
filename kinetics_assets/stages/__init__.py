"""What a step does: annotation rows in, manifest rows out, one module per stage.

The functions here know files, sources, media and engines, and nothing of Dagster; the assets call
them and report, the tests call them directly.
"""
