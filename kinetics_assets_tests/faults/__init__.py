"""Faults: whole stages against sources and machines that misbehave."""
