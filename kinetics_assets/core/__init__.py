"""The pure part: vocabulary, checks and arithmetic; no network, no processes, no clock."""
