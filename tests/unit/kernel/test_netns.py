"""Network namespaces that may not be entered, and Pythons that can enter one by themselves."""

import errno
import os

import pytest

from portside.kernel.netns import Namespace, NamespaceError


def test_one_that_may_not_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(NamespaceError, match="network namespace 'blue': Permission denied") as caught:
        Namespace("blue")
    assert caught.value.hint == "this needs root, or a process of your own"


def test_python_enters_it_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []
    monkeypatch.setattr(os, "setns", lambda fd, kind: entered.append((fd, kind)), raising=False)
    namespace = Namespace(str(os.getpid()))
    assert namespace.run(lambda: 5) == 5
    assert [kind for _, kind in entered] == [0x40000000]
    namespace.close()


def test_without_any_name_there_is_no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portside.kernel.netns.RUN", "/nowhere")
    with pytest.raises(NamespaceError) as caught:
        Namespace("blue")
    assert caught.value.hint is None
