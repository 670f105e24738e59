"""The native functions: nothing but what the specification and its extensions name."""
