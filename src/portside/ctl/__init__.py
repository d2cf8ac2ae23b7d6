"""``portside ctl``: what a running server is asked and told, and how its answers are shown."""
