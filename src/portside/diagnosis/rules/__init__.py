"""The rules of ``portside diagnose``, one file for each code; ``registry.py`` lists them."""
