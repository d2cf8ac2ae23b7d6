"""The surroundings of the test run made the same, whoever starts it: signals, umask, descriptors, environment.

Every program that a test starts inherits these. ``nohup`` and a background job of a shell leave signals ignored, a
desktop sets a proxy and a language, a hardened account has a umask of 077: none of that may decide a test.
"""

import atexit
import os
import resource
import shutil
import signal
import tempfile

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1)
UMASK = 0o022
DESCRIPTORS = 8192  # some tests are a thousand clients: the usual soft limit is 1024

ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "TZ": "UTC"}
_REMOVED = {"NO_COLOR", "COLUMNS", "LINES", "TMUX", "SSLKEYLOGFILE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
_REMOVED |= {"PYTHONWARNINGS", "PYTHONUNBUFFERED", "PYTHONDEVMODE", "PYTHONOPTIMIZE", "PYTHONASYNCIODEBUG"}
_REMOVED_PREFIXES = ("PORTSIDE_", "LC_", "LANG", "LISTEN_")


def make_neutral() -> None:
    """Set this process's signals, umask, soft limit of descriptors and environment to those that the tests expect."""
    for number in SIGNALS:
        if signal.getsignal(number) == signal.SIG_IGN:
            # A handler, not SIG_DFL: the test run itself still survives the signal, as whoever ignored it asked for,
            # while exec resets a handler to the default in every program that a test starts.
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.umask(UMASK)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, DESCRIPTORS)), hard))
    for name in list(os.environ):
        is_proxy = name.lower().endswith("_proxy")
        if name in _REMOVED or name.startswith(_REMOVED_PREFIXES) or is_proxy:
            del os.environ[name]
    os.environ.update(ENVIRONMENT)
    # The control sockets of the servers that tests start: two runs of the tests, and a user's servers, never meet.
    runtime = tempfile.mkdtemp(prefix="portside-tests-")
    atexit.register(shutil.rmtree, runtime, ignore_errors=True)
    os.environ["XDG_RUNTIME_DIR"] = runtime
