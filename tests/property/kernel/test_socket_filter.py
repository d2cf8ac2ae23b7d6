"""The filter over sockets as values: the same answers as over the table that they are made of."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from property.kernel.test_kernel_filter import Seen, filters, sockets
from unit.kernel.messages import attribute, socket_message, tcp_info

from portside.fleet.query.filter import FilteredSocket, evaluate_tree, socket_truth
from portside.fleet.query.names import FleetNames
from portside.fleet.query.state import NodeName
from portside.kernel.decoder import decode
from portside.kernel.filter import And, Filter, Not, Number, Or, ProgramIs
from portside.kernel.filter.evaluate import evaluate, possible
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Owner

OWNERS = {7: (Owner(10, "nc", 3), Owner(10, "nc", 5)), 8: (Owner(12, None, None),)}
NAMES = FleetNames()

columns = st.sampled_from(
    ["recv_q", "send_q", "rtt_us", "cwnd", "local_port", "remote_port", "interface", "uid", "inode", "cookie", "pid"]
)
more = st.one_of(
    st.builds(Number, columns, st.sampled_from(["=", "<", "<=", ">", ">="]), st.integers(0, 12)),
    st.builds(ProgramIs, st.sampled_from(["nc", "n?", "*", "python3"])),
)
trees: st.SearchStrategy[Filter] = st.recursive(
    st.one_of(filters, more),
    lambda inner: st.one_of(inner.map(Not), st.lists(inner, max_size=3).map(tuple).map(Or),
                            st.lists(inner, max_size=3).map(tuple).map(And)),
    max_leaves=6,
)  # fmt: skip


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    seen: Seen = draw(sockets)
    info = b"" if seen.rtt is None else attribute(2, tcp_info(248, rtt=("I", 68, seen.rtt)))
    return socket_message(
        local=(str(seen.ends["local"]), seen.ports["local"]),
        remote=(str(seen.ends["remote"]), seen.ports["remote"]),
        state=seen.state,
        queues=(draw(st.integers(0, 3)), draw(st.integers(0, 3))),
        interface=draw(st.integers(0, 3)),
        cookie=draw(st.integers(1, 9)),
        inode=draw(st.sampled_from([0, 7, 8, 9, 10])),
        attributes=info,
    )


def truth_of(tree: Filter, row: FilteredSocket) -> bool | None:
    return evaluate_tree(tree, lambda condition: socket_truth(condition, row, NAMES))


@given(trees, st.lists(messages(), max_size=8), st.booleans(), st.booleans())
def test_the_same_as_over_the_table(tree: Filter, given_: list[bytes], owners: bool, hidden: bool) -> None:
    table = replace(decode(b"".join(given_)).table, interfaces={})
    if owners:
        table = table.with_owners(OWNERS, "no permission" if hidden else "")
    truths = [truth_of(tree, FilteredSocket(NodeName("site", "node"), each)) for each in to_sockets(table)]
    assert [truth is True for truth in truths] == evaluate(tree, table).tolist()
    assert [truth is not False for truth in truths] == possible(tree, table).tolist()
