"""What each of the six stages does for one class; no Dagster in here."""
