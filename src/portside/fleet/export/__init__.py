"""What a fleet has published as rows for other stores: ``portside fleet export``."""
