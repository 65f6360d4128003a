"""The parts of ``benchmarks/gpu.py``, and what they share.

    gpu_scale.py    how large everything is, in full and in rehearsal
    gpu_worker.py   the processes that do the measuring
    gpu_smoke.py    the first minute
    gpu_checks.py   is npvae right on the device?
    gpu_tests.py    pytest's tests
    gpu_steps.py    a training step against its peers
    gpu_curve.py    figure 2
    gpu_nodes.py    where npvae's own step goes
    gpu_table.py    what is printed
"""
