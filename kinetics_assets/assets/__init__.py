"""The graph as Dagster sees it: thin functions, one module a stage, in flow order."""
