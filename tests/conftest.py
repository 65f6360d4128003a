"""One BLAS thread a test process, and Ctrl-C as it is by default.

Two processes of two threads each would wait on each other. Where a shell ignores SIGINT, as for a
job in the background of a script, its children ignore it too, and Ctrl-C could not be tested.
"""
import os
import signal

for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
signal.signal(signal.SIGINT, signal.default_int_handler)
