"""The whole graph, end to end, on the demo dataset."""
