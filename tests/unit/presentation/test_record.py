"""Lines of a master file, with dnspython as the second opinion on rdata."""

import re

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from kdns.presentation.record import DEFAULT_TTL, read_record
from kdns.wire import codes, names


@pytest.mark.parametrize(
    ("rtype", "text"),
    [
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::1"),
        ("AAAA", "::ffff:192.0.2.1"),
        ("NS", "ns.example."),
        ("CNAME", r"a\.b\032c.example."),
        ("SOA", "ns.example. hostmaster.example. 1 7200 1800 86400 30"),
        ("PTR", "a.example."),
        ("HINFO", '"amd 64" linux'),
        ("MX", "10 mail.example."),
        ("TXT", r'plain "two words" "a\"b\\c\065" a\;b ""'),
        ("TXT", '"' + "x" * 255 + '" "y"'),
        ("RP", "a.example. b.example."),
        ("AFSDB", "1 a.example."),
        ("X25", "12345"),
        ("GPOS", "1.0 2.0 3.0"),
        ("SRV", "1 2 53 a.example."),
        ("NAPTR", '1 2 "u" "E2U+sip" "!^.*$!sip:a@b!" .'),
        ("KX", "1 a.example."),
        ("CERT", "1 2 3 AwEAAQ=="),
        ("DNAME", "b.example."),
        ("DS", "1 8 2 " + "ab" * 32),
        ("SSHFP", "1 1 " + "ab" * 20),
        ("RRSIG", "A 8 2 300 20300101000000 20200101000000 1 a.example. AwEA AQ=="),
        ("NSEC", "b.example. A MX RRSIG TYPE1234"),
        ("DNSKEY", "257 3 8 AwEAAQ=="),
        ("DHCID", "AwEAAQ=="),
        ("NSEC3", "1 0 1 aabb 2t7b4g4vsa5smi47k61mv5bv1a22bojr A"),
        ("NSEC3PARAM", "1 0 1 -"),
        ("TLSA", "3 1 1 " + "ab" * 16 + " " + "cd" * 16),
        ("SMIMEA", "3 1 0 aabb"),
        ("CDS", "1 8 2 " + "ab" * 32),
        ("OPENPGPKEY", "AwEAAQ=="),
        ("CSYNC", "1 3 A NS"),
        ("ZONEMD", "1 1 1 " + "ab" * 48),
        ("NID", "1 0014:4fff:ff20:ee64"),
        ("L32", "1 192.0.2.1"),
        ("L64", "1 2001:0db8:1140:1000"),
        ("LP", "1 a.example."),
        ("EUI48", "00-11-22-33-44-55"),
        ("EUI64", "00-11-22-33-44-55-66-77"),
        ("URI", '1 2 "https://example/"'),
        ("CAA", '0 issue "ca.example; account=1"'),
        ("SVCB", "0 b.example."),
        ("HTTPS", '1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1,192.0.2.2'),
        ("HTTPS", "1 . mandatory=port,alpn alpn=h2 port=53 no-default-alpn ipv6hint=::1"),
        ("HTTPS", r'1 . alpn="f\\\\oo\\,bar,h2" key667=hello dohpath=/q{?dns}'),
        ("HTTPS", '1 . key65333="hello\\210qoo"'),
    ],
)
def test_rdata_is_what_dnspython_reads(rtype: str, text: str) -> None:
    record = read_record(f"a.example. 60 IN {rtype} {text}")
    expected = dns.rdata.from_text(dns.rdataclass.IN, rtype, text)

    assert b"".join(record.targets) + record.rdata == expected.to_wire()
    assert record.rtype == dns.rdatatype.from_text(rtype)


@pytest.mark.parametrize(
    ("line", "owner", "ttl", "rclass"),
    [
        ("a.example. 60 IN A 192.0.2.1", "a.example.", 60, codes.CLASS_IN),
        ("a.example. IN 60 A 192.0.2.1", "a.example.", 60, codes.CLASS_IN),
        ("a.example. A 192.0.2.1", "a.example.", DEFAULT_TTL, codes.CLASS_IN),
        ("a.example 60 A 192.0.2.1", "a.example.", 60, codes.CLASS_IN),
        ("a.example.\t1h30m\tch\ta\t192.0.2.1", "a.example.", 5400, codes.CLASS_CH),
        ("a.example. 1W2D3S CLASS3 TYPE1 192.0.2.1", "a.example.", 777_603, codes.CLASS_CH),
        ("@ 60 A 192.0.2.1", ".", 60, codes.CLASS_IN),
        ("A 60 A 192.0.2.1", "A.", 60, codes.CLASS_IN),
        (r"a\.b.c\@ 60 A 192.0.2.1", r"a\.b.c\@.", 60, codes.CLASS_IN),
        ("a.example. ( 60 IN\n A ) 192.0.2.1 ; comment\n", "a.example.", 60, codes.CLASS_IN),
        ("a.example. 0 A 192.0.2.1;comment", "a.example.", 0, codes.CLASS_IN),
        ("\\097.example. 60 A \\# 4 c0000201", "a.example.", 60, codes.CLASS_IN),
        ("a.example. 60 A \\# 4 c0 00 0201", "a.example.", 60, codes.CLASS_IN),
    ],
)
def test_owner_ttl_and_class_are_read_in_every_order(
    line: str, owner: str, ttl: int, rclass: int
) -> None:
    record = read_record(line)

    assert (names.to_text(record.owner), record.ttl, record.rclass) == (owner, ttl, rclass)
    assert (record.rtype, record.rdata) == (codes.A, bytes((192, 0, 2, 1)))


def test_names_without_a_final_dot_are_below_the_origin() -> None:
    record = read_record("a 60 NS @", names.from_text("example."))

    assert record.owner == names.from_text("a.example.")
    assert record.targets == (names.from_text("example."),)


def test_an_escaped_dot_at_the_end_is_no_final_dot() -> None:
    record = read_record(r"a\. 60 NS b\\.", names.from_text("example."))

    assert names.labels(record.owner) == [b"a.", b"example"]
    assert names.labels(record.targets[0]) == [b"b\\"]


def test_the_names_that_may_be_compressed_stand_apart() -> None:
    soa = read_record("example. SOA ns.example. h.example. 1 2h 3m 4d 5")

    assert soa.targets == (names.from_text("ns.example."), names.from_text("h.example."))
    assert soa.rdata == b"".join(number.to_bytes(4) for number in (1, 7200, 180, 345_600, 5))


def test_a_long_text_becomes_several_strings() -> None:
    record = read_record("a. TXT " + "x" * 300)

    assert record.rdata == b"\xff" + b"x" * 255 + b"\x2d" + b"x" * 45


def test_a_type_without_a_form_of_its_own_is_written_in_hex() -> None:
    record = read_record(r"a. TYPE65280 \# 3 abcdef")

    assert (record.rtype, record.rdata) == (65_280, b"\xab\xcd\xef")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "expected a record, got nothing"),
        ("; comment", "expected a record, got nothing"),
        (" a. A 192.0.2.1", "expected the name of the owner first, got white space"),
        ("$TTL 60", "expected a record, got the directive $TTL"),
        ("a.", "expected a TTL, a class or a type, got the end of the record"),
        ("a. 60 IN", "expected a TTL, a class or a type, got the end of the record"),
        ("a. 60 60 A 192.0.2.1", "expected a TTL, a class or a type, got '60'"),
        ("a. IN IN A 192.0.2.1", "expected a TTL, a class or a type, got 'IN'"),
        ("a. FOO", "expected a TTL, a class or a type, got 'FOO'"),
        ("a. TYPE99999 1", "expected a TTL, a class or a type, got 'TYPE99999'"),
        ("a. 1x A 192.0.2.1", "expected a number of seconds, got '1x'"),
        ("a. 9999999999 A 192.0.2.1", "9999999999 is more than 4294967295 seconds"),
        ("a..b. A 192.0.2.1", "label of 0 octets"),
        ("a. A", "expected an IPv4 address, got the end of the record"),
        ("a. A 192.0.2", "expected an IPv4 address, got '192.0.2'"),
        ("a. A 010.0.2.1", "expected an IPv4 address, got '010.0.2.1'"),
        ("a. AAAA 192.0.2.1", "expected an IPv6 address, got '192.0.2.1'"),
        ("a. AAAA fe80::1%eth0", "expected an IPv6 address, got 'fe80::1%eth0'"),
        ("a. A 192.0.2.1 x", "expected the end of the record, got 'x'"),
        ("a. MX b.", "expected a number up to 65535, got 'b.'"),
        ("a. MX 65536 b.", "expected a number up to 65535, got '65536'"),
        ("a. MX 10", "expected a name, got the end of the record"),
        ('a. MX 10 ""', "expected a name, got an empty word"),
        ("a. TXT", "expected a string, got the end of the record"),
        ('a. TXT "b', "a quoted string is not closed"),
        ("a. HINFO " + "x" * 256 + " y", "a string of 256 octets, expected 255 at the most"),
        (r"a. TXT \999", r"\999 is no octet"),
        ("a. TXT (b", "a parenthesis is not closed"),
        ("a. TXT b)", "a parenthesis is closed that was not opened"),
        ("a. A 192.0.2.1\nb. A 192.0.2.1", "expected one record, got 'b.' after it"),
        ("a. DS 1 8 2 abc", "expected pairs of hex digits, got 'abc'"),
        ("a. DNSKEY 257 3 8 a!", "expected base64, got 'a!'"),
        ("a. NSEC3 1 0 1 - !! A", "expected base32hex, got '!!'"),
        ("a. NSEC b. FOO", "unknown type 'FOO'"),
        ("a. RRSIG A 8 2 300 soon 1 1 a. AwEA", "expected a time like 20300101000000, got 'soon'"),
        ("a. EUI48 00-11", "expected hex digits like 00-00-00-00-00-00, got '00-11'"),
        (r"a. A \# 3 c0000201", r"\# 3 is followed by 4 octets"),
        (r"a. A \#", "expected a number up to 65535, got the end of the record"),
        ("a. LOC 1 2 3 N", r"the rdata of this type is written as \# LENGTH HEX (RFC 3597)"),
        ("a. HTTPS 1 . foo=1", "unknown parameter 'foo': expected one of mandatory, alpn"),
        ("a. HTTPS 1 . port=1 port=2", "the parameter port stands twice"),
        ("a. HTTPS 1 . port=x", "expected a port, got 'x'"),
        ("a. HTTPS 1 . port=65536", "expected a port, got '65536'"),
        ("a. HTTPS 1 . mandatory=port", "a parameter is mandatory and not there"),
        ("a. HTTPS 1 . mandatory=mandatory", "mandatory names every parameter once"),
        ("a. HTTPS 1 . alpn=", "expected values with commas, got ''"),
        ("a. HTTPS 1 . alpn=h2,", "expected values with commas, got 'h2,'"),
        ("a. HTTPS 1 . no-default-alpn=1", "no-default-alpn and ohttp have no value"),
        ("a. HTTPS 1 . ech=!", "ech: expected base64"),
        ('a. HTTPS 1 . "h2"', "expected a parameter like alpn=h2, got 'h2'"),
    ],
)
def test_what_is_no_record_is_refused_with_a_reason(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(reason)):
        read_record(line)


def test_a_name_that_is_too_long_with_its_origin_is_refused() -> None:
    origin = names.from_text(".".join(["x" * 60] * 3))
    label = ".".join(["y" * 40] * 2)

    with pytest.raises(ValueError, match="name over 255 octets"):
        read_record(f"{label} A 192.0.2.1", origin)
