"""The rules of ``diagnose`` over the tables that the live display reads anyway."""

from typing import Self

from portside.app.diagnosis_choice import filtered_rules
from portside.app.network_readings import NetworkReadings, known_holders
from portside.diagnosis.diagnosis import Diagnosis
from portside.diagnosis.registry import RULES
from portside.kernel.netns import Namespace
from portside.kernel.table import SocketTable
from portside.tui.finding_marks import NOTHING_FOUND, FindingMarks
from portside.tui.snapshot_diff import keys_of


class LiveDiagnosis:
    """A diagnosis of the sockets of one filter.

    ``whole``: these are all sockets of the network, so that conditions of the machine are looked for, too. Sockets that
    were closed are not listened for: they could pile up while the display is paused.
    """

    def __init__(self, namespace: Namespace | None, *, whole: bool) -> None:
        self._diagnosis = Diagnosis(RULES if whole else filtered_rules(RULES))
        self._readings = NetworkReadings(namespace, descriptors=whole)
        self._marks = NOTHING_FOUND

    def observe(self, table: SocketTable) -> FindingMarks:
        """The findings after one more table, just read. Raises NamespaceError."""
        report = self._diagnosis.observe(self._readings.observation(table, None, known_holders(table)))
        self._marks = self._marks.after(report, keys_of(table))
        return self._marks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what the readings hold open."""
        self._readings.close()
