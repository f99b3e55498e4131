"""The names of numbers as a Corefile writes them: types, classes and rcodes that IANA assigned.

Knows nothing else. More than ``kdns.wire.codes``, because ``template`` and ``rewrite`` may name
what kdns itself never answers.
"""

from collections.abc import Mapping
from types import MappingProxyType

TYPES: Mapping[str, int] = MappingProxyType(
    {
        "A": 1,
        "NS": 2,
        "MD": 3,
        "MF": 4,
        "CNAME": 5,
        "SOA": 6,
        "MB": 7,
        "MG": 8,
        "MR": 9,
        "NULL": 10,
        "WKS": 11,
        "PTR": 12,
        "HINFO": 13,
        "MINFO": 14,
        "MX": 15,
        "TXT": 16,
        "RP": 17,
        "AFSDB": 18,
        "X25": 19,
        "ISDN": 20,
        "RT": 21,
        "NSAP": 22,
        "NSAP-PTR": 23,
        "SIG": 24,
        "KEY": 25,
        "PX": 26,
        "GPOS": 27,
        "AAAA": 28,
        "LOC": 29,
        "NXT": 30,
        "EID": 31,
        "NIMLOC": 32,
        "SRV": 33,
        "ATMA": 34,
        "NAPTR": 35,
        "KX": 36,
        "CERT": 37,
        "A6": 38,
        "DNAME": 39,
        "SINK": 40,
        "OPT": 41,
        "APL": 42,
        "DS": 43,
        "SSHFP": 44,
        "IPSECKEY": 45,
        "RRSIG": 46,
        "NSEC": 47,
        "DNSKEY": 48,
        "DHCID": 49,
        "NSEC3": 50,
        "NSEC3PARAM": 51,
        "TLSA": 52,
        "SMIMEA": 53,
        "HIP": 55,
        "NINFO": 56,
        "RKEY": 57,
        "TALINK": 58,
        "CDS": 59,
        "CDNSKEY": 60,
        "OPENPGPKEY": 61,
        "CSYNC": 62,
        "ZONEMD": 63,
        "SVCB": 64,
        "HTTPS": 65,
        "DSYNC": 66,
        "SPF": 99,
        "UINFO": 100,
        "UID": 101,
        "GID": 102,
        "UNSPEC": 103,
        "NID": 104,
        "L32": 105,
        "L64": 106,
        "LP": 107,
        "EUI48": 108,
        "EUI64": 109,
        "NXNAME": 128,
        "TKEY": 249,
        "TSIG": 250,
        "IXFR": 251,
        "AXFR": 252,
        "MAILB": 253,
        "MAILA": 254,
        "ANY": 255,
        "URI": 256,
        "CAA": 257,
        "AVC": 258,
        "DOA": 259,
        "AMTRELAY": 260,
        "RESINFO": 261,
        "TA": 32768,
        "DLV": 32769,
    }
)
"""Registry "Resource Record (RR) TYPEs"."""

CLASSES: Mapping[str, int] = MappingProxyType(
    {"IN": 1, "CS": 2, "CH": 3, "HS": 4, "NONE": 254, "ANY": 255}
)
"""Registry "DNS CLASSes", with the class that RFC 1035 section 3.2.4 made obsolete."""

RCODES: Mapping[str, int] = MappingProxyType(
    {
        "NOERROR": 0,
        "FORMERR": 1,
        "SERVFAIL": 2,
        "NXDOMAIN": 3,
        "NOTIMP": 4,
        "REFUSED": 5,
        "YXDOMAIN": 6,
        "YXRRSET": 7,
        "NXRRSET": 8,
        "NOTAUTH": 9,
        "NOTZONE": 10,
        "DSOTYPENI": 11,
        "BADSIG": 16,
        "BADKEY": 17,
        "BADTIME": 18,
        "BADMODE": 19,
        "BADNAME": 20,
        "BADALG": 21,
        "BADTRUNC": 22,
        "BADCOOKIE": 23,
    }
)
"""Registry "DNS RCODEs"; of its two names for 16 the one that CoreDNS knows."""

RCODE_ALIASES: Mapping[str, int] = MappingProxyType({"NOTIMPL": 4})
"""Names that CoreDNS reads, and never writes."""

_TYPE_TEXTS = {number: text for text, number in TYPES.items()}
_CLASS_TEXTS = {number: text for text, number in CLASSES.items()}


def type_text(rtype: int) -> str:
    """Write a type, one without a mnemonic as ``TYPE123`` (RFC 3597 section 5)."""
    return _TYPE_TEXTS.get(rtype) or f"TYPE{rtype}"


def class_text(rclass: int) -> str:
    """Write a class, one without a mnemonic as ``CLASS123`` (RFC 3597 section 5)."""
    return _CLASS_TEXTS.get(rclass) or f"CLASS{rclass}"
