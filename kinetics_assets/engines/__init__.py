"""Optical flow: one Protocol, several engines, and the arithmetic from pixels to flow to 8 bits.

::

    base.py       FlowEngine, the contract every engine keeps
    gray.py       colour frame -> gray frame of the size that flow is computed at
    tvl1.py       the numbers of the TV-L1 profile "opencv4-cuda"
    reference.py  the profile word for word in NumPy: slow, the oracle of all tests
    cpu.py        the same profile at speed
                  (cpu_kernels.py: its numba kernels; cpu_taps.py: one vector instruction of them)
    cpu_compiled/ the same kernels in C++, used where a compiler is; see its own table
    cuda/         the same profile on CUDA devices, see its own table
    opencv_cpu.py OpenCV's own TV-L1 on the CPU, another algorithm; opencv_wheel.py: its base
    opencv_cuda/  what a CUDA build of OpenCV has, in its own interpreter, see its own table
    denseflow.py  the program of that name, one process per video
    preview.py    OpenCV's DIS and Farneback: other algorithms, only by explicit name
    cache_folders.py where compiled kernels are kept
    quantise.py   flow in pixels <-> 8-bit grey levels
    registry.py   name -> engine

An engine needs numpy plus what it names itself; nothing here imports dagster or pyarrow.
"""
