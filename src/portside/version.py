"""The version of Portside."""

__version__ = "0.1.0"
