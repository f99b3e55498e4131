"""Any bytes in give an answer or silence, and no exception; what we write, dnspython reads."""

import dns.message
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kdns.errors import MalformedMessage
from kdns.wire import names
from kdns.wire.query import read_query
from tests.cluster import F1, Cluster

CLUSTER = Cluster(F1)
QUERY = dns.message.make_query("svc1.testns.svc.cluster.local.", "A", use_edns=0).to_wire()
datagrams = st.one_of(
    st.binary(max_size=600),
    st.builds(
        lambda at, by: QUERY[:at] + by + QUERY[at + len(by) :],
        st.integers(0, 70),
        st.binary(max_size=8),
    ),
    st.integers(0, len(QUERY)).map(lambda size: QUERY[:size]),
)


@given(datagrams, st.sampled_from(("udp", "tcp")))
@example(QUERY, "udp")
@settings(max_examples=1000)
def test_any_bytes_give_an_answer_or_silence(datagram: bytes, transport: str) -> None:
    reply = CLUSTER.responder.respond(
        datagram, ("192.0.2.7", 5353), ("tcp" if transport == "tcp" else "udp", "1")
    )

    assert reply is None or isinstance(reply, bytes)
    if reply is not None:
        assert reply[:2] == datagram[:2]
        assert reply[2] & 0x80
        dns.message.from_wire(reply)


@given(st.binary(max_size=600))
@settings(max_examples=500)
def test_the_reader_raises_nothing_but_malformed(datagram: bytes) -> None:
    try:
        query = read_query(datagram)
    except MalformedMessage as error:
        outcome = error.rcode in {None, 1, 4}
    else:
        outcome = query.name == query.asked.lower()

    assert outcome


labels = st.lists(st.binary(min_size=1, max_size=20), max_size=6)


@given(labels)
def test_names_survive_their_text(parts: list[bytes]) -> None:
    name = names.from_labels(parts)

    assert names.labels(name) == parts
    assert names.from_text(names.to_text(name)) == name
