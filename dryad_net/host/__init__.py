"""What a host that is not Python loads: the C library, its header, the modules for Dryad scripts."""
