"""What is done to a connection: which request is made, what is asked before, and what is said after."""

import pytest
from unit.tui.console.driving import Driven, drive
from unit.tui.console.fake_server import FakeServer, connection, problem, server_info

Acts = list[tuple[str, str, object]]


async def selected(console: Driven) -> None:
    await console.wait("127.0.0.1:40003")
    await console.press("down", "down")


def test_nothing_is_done_without_a_selection() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:40003")
        for key in "ptfnck":
            await console.press("escape", key)
            await console.wait("select a connection first")
        assert console.server.acts == []

    drive(journey)


def test_pause_and_resume() -> None:
    async def journey(console: Driven) -> None:
        await selected(console)
        await console.press("p")
        await console.wait("#2: paused")
        console.server.connections[1]["holds"] = ["operator"]
        await console.until(lambda: "paused" in console.text.replace("#2: paused", ""), "the state")
        await console.press("p")
        await console.wait("#2: resumed")
        paths = [path for _, path, _ in console.server.acts]
        assert paths == ["connections/2/pause", "connections/2/resume"]

    drive(journey)


@pytest.mark.parametrize(
    ("key", "typed", "act", "said"),
    [
        ("t", "10k/s", ("PUT", "connections/2/throttle", {"rate": "10k/s"}), "#2: throttled to 10k/s"),
        ("t", "off", ("DELETE", "connections/2/throttle", None), "#2: throttled no more"),
        (
            "f",
            "latency 200ms",
            ("POST", "connections/2/faults", {"spec": "latency 200ms"}),
            "#2: fault 1, latency 200ms",
        ),
        ("f", "off 3", ("DELETE", "connections/2/faults/3", None), "#2: 1 fault taken out"),
        ("n", "mine", ("PATCH", "connections/2", {"note": "mine"}), "#2: note: mine"),
    ],
)
def test_a_value_is_typed(key: str, typed: str, act: tuple[str, str, object], said: str) -> None:
    async def journey(console: Driven) -> None:
        await selected(console)
        await console.press(key)
        await console.wait("on #2" if key != "t" else "throttle #2", "Enter do it")
        await console.type(typed)
        await console.press("enter")
        await console.wait(said, "all keys")
        assert console.server.acts == [act]

    drive(journey)


def test_all_faults_are_taken_out() -> None:
    async def journey(console: Driven) -> None:
        console.server.faults[2] = [{"id": 1}, {"id": 4}]
        await selected(console)
        await console.press("f")
        await console.type("off")
        await console.press("enter")
        await console.wait("#2: 2 faults taken out")
        assert [path for _, path, _ in console.server.acts] == ["connections/2/faults/1", "connections/2/faults/4"]

    drive(journey)


def test_what_the_server_refuses_is_said_below_what_was_typed() -> None:
    async def journey(console: Driven) -> None:
        await selected(console)
        await console.press("f")
        await console.press("enter")
        await console.wait("write a fault")
        console.server.refusal = problem(422, "there is no fault 'latncy': did you mean latency?")
        await console.type("latncy 1s")
        await console.press("enter")
        await console.wait("latncy 1s", "did you mean latency?", "Enter do it")
        await console.press("escape")
        await console.wait("all keys")
        console.server.refusal = problem(403, "the page may only look")
        await console.press("p")
        await console.wait("the page may only look")

    drive(journey)


@pytest.mark.parametrize(("answer", "how"), [("f", "fin"), ("h", "half"), ("n", None), ("escape", None)])
def test_how_to_close_is_asked(answer: str, how: str | None) -> None:
    async def journey(console: Driven) -> None:
        await selected(console)
        await console.press("c")
        await console.wait("Close this connection?", "#2  127.0.0.1:40002")
        await console.press(answer)
        await console.wait("all keys")
        if how is not None:
            await console.until(lambda: console.server.acts, "the act")
        assert console.server.acts == ([("POST", "connections/2/close", {"how": how})] if how else [])

    drive(journey)


@pytest.mark.parametrize("answer", ["y", "n", "k", "enter"])
def test_a_reset_needs_a_yes(answer: str) -> None:
    async def journey(console: Driven) -> None:
        await selected(console)
        await console.press("k")
        await console.wait("Reset this connection?", "#2  127.0.0.1:40002")
        await console.press(answer)
        await console.wait("all keys")
        if answer == "y":
            await console.wait("#2: reset")
        acts: Acts = [("POST", "connections/2/close", {"how": "reset"})] if answer == "y" else []
        assert console.server.acts == acts

    drive(journey)


@pytest.mark.parametrize("key", ["k", "t"])
def test_an_act_is_never_done_to_the_same_number_of_another_run(key: str) -> None:
    """The server is started anew between the question and the answer."""

    async def journey(console: Driven) -> None:
        await selected(console)
        await console.press(key)
        await console.wait("#2")
        console.server.info = server_info(pid=60000, started="2026-11-22T13:00:00.000000Z")
        await console.until(lambda: console.app.session.link.run[0] == 60000, "the new run to be seen")
        await console.press(*(["y"] if key == "k" else ["1", "k", "/", "s", "enter"]))
        await console.wait("started anew")
        assert console.server.acts == []

    drive(journey, FakeServer([connection(1), connection(2), connection(3)]))
