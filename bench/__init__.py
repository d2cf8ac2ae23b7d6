"""Portside compared with a C reference and with the tools in use today: `python -m bench`."""
