"""Flow by a CUDA build of OpenCV, which cannot share an environment with the OpenCV wheels.

::

    worker.py   the program that runs in the interpreter of that OpenCV; stands alone
    session.py  one running worker, and the memory that it shares with us
    findings.py what a worker found, and what its errors mean: one remedy each
    engine.py   OpenCvCudaEngine, and `look` for who only wants to know
"""
