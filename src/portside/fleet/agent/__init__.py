"""``portside agent``: what is gathered on a machine for the fleet, and the run."""
