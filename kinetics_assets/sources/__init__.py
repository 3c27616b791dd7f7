"""Where clips come from: one module a source, each behind the protocol of `base`."""
