"""Functions written down as tapes of array operations, and the machine that runs these."""
