"""Functions recorded as tapes of array operations, and the machine that runs the tapes."""
