"""Looking at this machine: which tools, engines, devices and disks are usable, and what mends each.

Nothing is changed by looking. What may hang, crash or start CUDA is asked in a process of its own.
"""
