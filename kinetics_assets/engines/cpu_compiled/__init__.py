"""The kernels of the CPU engine in C++: the bits of the numba kernels, about 1.5 times as fast.

::

    tvl1.cpp      the kernels, one file without a library
    compiler.py   the user's C++ compiler: finds it, compiles once, keeps what it made
    kernels.py    the compiled kernels as Python functions, called as those of cpu_kernels.py are

Nothing needs them: where they cannot be had, `cpu.py` uses numba, and flow is the same.
"""
