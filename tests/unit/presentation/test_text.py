"""Records as lines of a master file; dnspython reads them back."""

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.presentation import text
from kdns.presentation.record import read_record
from kdns.wire import codes, names, records
from kdns.wire.records import Record

WEB = names.from_text("web.default.svc.cluster.local")
LINES = {
    "web.default.svc.cluster.local. 30 IN A 10.0.0.1": records.address(WEB, 30, b"\x0a\0\0\1"),
    "web.default.svc.cluster.local. 30 IN AAAA fd00::1": records.address(
        WEB, 30, b"\xfd" + bytes(14) + b"\1"
    ),
    "web.default.svc.cluster.local. 5 IN CNAME example.org.": records.cname(
        WEB, 5, names.from_text("example.org")
    ),
    "web.default.svc.cluster.local. 5 IN SRV 0 100 80 example.org.": records.srv(
        WEB, 5, 100, 80, names.from_text("example.org")
    ),
    'web.default.svc.cluster.local. 5 IN TXT "say \\"a\\\\b\\" \\195\\188"': records.txt(
        WEB, 5, 'say "a\\b" ü'
    ),
    "web.default.svc.cluster.local. 5 IN SOA ns.example. a\\.b.example. 1 2 3 4 5": records.soa(
        WEB,
        5,
        (names.from_text("ns.example"), names.from_text("a\\.b.example")),
        (1, 2, 3, 4, 5),
    ),
    "web.default.svc.cluster.local. 5 IN MX 10 .": Record(WEB, codes.MX, 5, b"\0\x0a\0"),
    'web.default.svc.cluster.local. 5 CH TXT "a" "b"': Record(
        WEB, codes.TXT, 5, b"\1a\1b", rclass=codes.CLASS_CH
    ),
    "web.default.svc.cluster.local. 5 IN TYPE65280 \\# 3 616263": Record(WEB, 65_280, 5, b"abc"),
    "web.default.svc.cluster.local. 5 IN TYPE65280 \\# 0": Record(WEB, 65_280, 5, b""),
    "web.default.svc.cluster.local. 5 IN A \\# 3 0a0000": Record(WEB, codes.A, 5, b"\x0a\0\0"),
    "web.default.svc.cluster.local. 5 IN SRV \\# 2 0000": Record(WEB, codes.SRV, 5, b"\0\0"),
    "web.default.svc.cluster.local. 5 IN TXT \\# 2 0561": Record(WEB, codes.TXT, 5, b"\5a"),
    "web.default.svc.cluster.local. 5 IN PTR \\# 3 000000": Record(WEB, codes.PTR, 5, bytes(3)),
}


@pytest.mark.parametrize(("line", "record"), LINES.items(), ids=LINES)
def test_a_record_is_a_line(line: str, record: Record) -> None:
    assert text.line(record).replace("\t", " ") == line


@given(
    st.sampled_from([1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 65_280]),
    st.binary(max_size=60),
)
def test_whatever_the_octets_another_reader_gets_them_back(rtype: int, data: bytes) -> None:
    written = text.rdata(Record(WEB, rtype, 5, data))

    try:
        read = dns.rdata.from_text("IN", f"TYPE{rtype}", written)
    except dns.exception.DNSException:
        # It checks more than that there are octets of a known form.
        assert written.startswith("\\#")
        return
    assert read.to_wire() == data


@given(
    st.sampled_from([1, 2, 5, 12, 13, 15, 16, 28, 33, 65_280]),
    st.binary(max_size=60),
)
def test_we_read_what_we_write(rtype: int, data: bytes) -> None:
    record = Record(WEB, rtype, 5, data)

    read = read_record(text.line(record))

    assert b"".join(read.targets) + read.rdata == data
