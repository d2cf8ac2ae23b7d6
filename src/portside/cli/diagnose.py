"""``portside diagnose``: check the settings, and only then import numpy and the rest."""

import os

from portside.errors import UsageError
from portside.settings.diagnose import Diagnose


def run(settings: Diagnose) -> int:
    """Say what is wrong; the exit status: 1 where something above *info* was found."""
    if settings.netns == "all":
        hint = "one run for each: --netns NAME; `portside watch --netns all` shows them"
        raise UsageError("diagnose", "it looks into one network, and --netns all are several", hint)
    # numpy's linear algebra, unused here, starts a thread for each processor: half of the import's time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if settings.explain is not None:
        from portside.app.diagnosis_choice import known_rule
        from portside.app.documentation import read_finding_page
        from portside.tui.documentation import show_page

        show_page(read_finding_page(known_rule(settings.explain).code))
        return 0
    from portside.app import diagnose

    return diagnose.run(settings)
