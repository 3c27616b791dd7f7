"""Data files that the package ships: class names in index order."""
