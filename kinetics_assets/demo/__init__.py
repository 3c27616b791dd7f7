"""A small dataset of generated clips with known motion, and the mirror that serves it."""
