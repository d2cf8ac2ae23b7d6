"""The processes of a load run: started, told to begin together, listened to, and ended."""

import os
import signal
from collections.abc import Iterator, Sequence

import msgspec

from portside.load.work import Work, WorkDone

_SIZE_BYTES = 4
_READ_BYTES = 1 << 20
_BEGIN, _STOP = b"b", b"s"


class WorkerProcess:
    """One worker, seen from the process that started it. ``is_over`` says that it has ended."""

    def __init__(self, work: Work, inherited: Sequence[int]) -> None:
        reports, report = os.pipe2(os.O_CLOEXEC)
        control, self._control = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            for fd in (reports, self._control, *inherited):
                os.close(fd)
            _work(work, report, control)
        os.close(report)
        os.close(control)
        self.reports = reports
        self.descriptors = (reports, self._control)
        self.is_over = False
        self._waiting = bytearray()
        self._decoder = msgspec.msgpack.Decoder(WorkDone)

    def begin(self) -> None:
        """Begin to measure."""
        self._tell(_BEGIN)

    def stop(self) -> None:
        """Send nothing more, wait for the answers, and end."""
        self._tell(_STOP)

    def read(self) -> Iterator[WorkDone]:
        """The worker's words since the last call; at its end ``is_over``."""
        data = os.read(self.reports, _READ_BYTES)
        if not data:
            self.is_over = True
            return
        self._waiting += data
        while len(self._waiting) >= _SIZE_BYTES:
            size = int.from_bytes(self._waiting[:_SIZE_BYTES], "little") + _SIZE_BYTES
            if len(self._waiting) < size:
                return
            progress = self._decoder.decode(self._waiting[_SIZE_BYTES:size])
            del self._waiting[:size]
            yield progress

    def kill(self) -> None:
        """End it at once; its reports end with what it has said."""
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it if it still runs, and wait for it."""
        for fd in self.descriptors:
            os.close(fd)
        if not self.is_over:
            self.kill()
        os.waitpid(self.pid, 0)

    def _tell(self, word: bytes) -> None:
        try:
            os.write(self._control, word)
        except BrokenPipeError:
            pass  # it has ended, which its reports say


def _work(work: Work, report: int, control: int) -> None:
    """The life of a worker process: it never returns."""
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # of the terminal: the process that started this one decides
        from portside.load.worker import LoadWorker

        encoder = msgspec.msgpack.Encoder()

        def say(progress: WorkDone) -> None:
            data = encoder.encode(progress)
            os.write(report, len(data).to_bytes(_SIZE_BYTES, "little") + data)

        LoadWorker(work, say, control).run()
        status = 0
    except BrokenPipeError:
        pass  # nobody listens any more
    finally:
        os._exit(status)
