"""The pure half of the core: the same interface as src_pyx/, in plain Python on socket and selectors.

It is what machines without a compiler, Windows and PyPy run, the types of both halves, and the
oracle that the compiled half is compared with.
"""
