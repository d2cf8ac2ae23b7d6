"""Faults as values (``model``), the connections that get them (``plan``) and the bytes they change (``transforms``)."""
