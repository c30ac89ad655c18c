"""Behind scripts/gpu-check.

    machine    what there is: driver, GPU, CUDA's libraries, PyTorch
    session    commands with time limits, the log, the results, the table
    parts      what is checked, in order
    speed      what is measured, and what theory says to it
"""
