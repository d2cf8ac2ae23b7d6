"""Portside beside a C reference and the tools people use today: `python -m bench`."""
