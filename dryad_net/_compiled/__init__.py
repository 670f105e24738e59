"""The compiled half of the core: extension modules built from src_pyx/."""
