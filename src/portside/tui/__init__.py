"""What runs on a whole terminal: the live display of ``portside watch``."""
