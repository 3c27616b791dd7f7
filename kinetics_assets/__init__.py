"""Kinetics as a graph of assets, from an annotation list to what a trainer reads.

::

    annotations ─► class_rows ─► videos ─► resized ─┬─► rawframes ─┬─► filelists
     (edition)      by class     by class  by class └─► flow ──────┘   per split
                                    ▲                  by class
           sources: local folders, YouTube

Pure functions turn annotation rows into manifest rows (`core`), effects are small and atomic
(`io`, `sources`, `media`, `engines`), `stages` do the work of one class, and thin Dagster `assets`
run them and report. Importing this package does nothing.
"""
