"""Effects on this machine, one noun a module: files, journals, locks, settings, downloads."""
