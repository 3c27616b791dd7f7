"""TV-L1 on CUDA devices: one source of kernels, and everything around them in Python.

::

    tvl1.cu     the kernels, compiled at run time for the device at hand
    memory.py   shapes of clips -> records and memory layout of one batch
    plan.py     the launches of one batch, their sizes and the compiler's options
    batches.py  many clips -> batches that fit, their results -> clips; any device
    compiler.py the kernels as machine code, kept on disk
    device.py   the device behind CuPy: memory, copies, launches
    probe.py    is there a device, told without loading CuPy
    engine.py   CudaEngine

Tests run the same kernels, plans and batches on a device of their own, compiled by g++.
"""
