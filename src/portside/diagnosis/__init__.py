"""What is wrong with the TCP of a machine, in words: rules over a series of socket tables and counters.

Everything here is pure: no I/O, no clock. Whoever reads the tables (``app/diagnose.py``) hands them in with the time at
which they were read, and asks for the findings::

    diagnosis = Diagnosis()
    while True:
        report = diagnosis.observe(observation)   # a table, counters and limits, and when they were read
        for finding in report.current:
            print(finding.severity, finding.code, finding.summary)

1. ``observation.py`` is what is handed in, ``series.py`` keeps what later observations are compared with, and makes a
   ``View`` of both.
2. A rule (``rules/``, one file each) selects rows of the table, or looks at the whole machine. ``grouping.py`` puts
   rows of one program, listener or peer together, so that one condition is one finding; the rule then says what it
   means.
3. ``diagnosis.py`` runs the rules, and follows each finding over time.
"""
