"""The ``postbeat`` command."""
