"""A small dataset that the package makes itself, and the server that offers it."""
