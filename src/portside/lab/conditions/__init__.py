"""The conditions that ``portside lab`` makes, one file for each code."""
