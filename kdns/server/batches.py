"""Many datagrams in one system call: recvmmsg and sendmmsg of Linux, through ctypes.

The memory is laid out once; between two calls only lengths change. The kernel writes the client's
address (and for a wildcard socket the address that was asked, as control data) to where the reply
will take it from. Measured against recvfrom and sendto, in a loop that only looks the answer up:
8.7 us of CPU for a query against 11.2 us. Knows no DNS.
"""

import ctypes
import errno
import socket
import sys
from struct import Struct as Layout
from struct import calcsize

BATCH = 64
"""Datagrams in one call. More would keep TCP and timers waiting for over a millisecond."""
MAX_QUERY = 4096
"""Octets of a datagram that is taken; queries are far shorter, and the rest of it is cut off."""
MAX_REPLY = 4096
"""Octets of a reply that goes out with the batch; longer ones go alone."""

# struct mmsghdr: name, its length, iovec, how many, control, its length, flags, octets received.
_HEADER = Layout("@P I P N P N i 0P I 0P")
_IOVEC = Layout("@P N")
_LENGTH_AT = _HEADER.size - calcsize("@I 0P")
_NAME = 28
"""Octets of the longest socket address, that of IPv6."""
_CONTROL = 64
"""Octets of control data: one IP_PKTINFO or IPV6_PKTINFO."""
_V4, _V6 = Layout("!2xH4s"), Layout("!2xHI16s4s")
_CMSG = Layout("@N i i")
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
_V4_INDEX = slice(_CMSG.size, _CMSG.size + 4)
"""Where struct in_pktinfo names the interface; in in6_pktinfo it follows the address."""
_V6_INDEX = slice(_CMSG.size + 16, _CMSG.size + 20)

_NOWAIT = socket.MSG_DONTWAIT
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS})


def available() -> bool:
    """Whether this system has the calls; they came with Linux 3.0."""
    libc = ctypes.CDLL(None)
    return hasattr(libc, "recvmmsg") and hasattr(libc, "sendmmsg")


class Batch:
    """The datagrams that one call received, and the replies to them, slot by slot."""

    def __init__(self, bound: socket.socket) -> None:
        """Lay out the memory for a bound, non-blocking UDP socket."""
        self._socket = bound
        self._fd = bound.fileno()
        self._v6 = bound.family == socket.AF_INET6
        self._wildcard = _ask_for_own_address(bound)
        self._memory = [bytearray(BATCH * size) for size in (MAX_QUERY, MAX_REPLY, _NAME, _CONTROL)]
        queries, self.replies, self._names, self._controls = self._memory
        self.queries = memoryview(queries)
        """Slot ``i`` begins at ``i * MAX_QUERY``."""
        self._incoming, self._ins = self._headers(queries, MAX_QUERY)
        self._fresh = bytes(self._incoming)
        outgoing, self._outs = self._headers(self.replies, MAX_REPLY)
        self._outgoing = outgoing
        words = memoryview(self._incoming).cast("I")
        self.lengths = words[_LENGTH_AT // 4 :: _HEADER.size // 4]
        """Octets of each datagram."""
        self.sizes = memoryview(self._outs).cast("L")[1::2]
        """Octets of each reply, to be set; slot ``i`` begins at ``i * MAX_REPLY``."""
        self._in_at, self._out_at = _at(self._incoming), _at(outgoing)
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg, self._sendmmsg = libc.recvmmsg, libc.sendmmsg
        pointer, number = ctypes.c_void_p, ctypes.c_uint
        self._recvmmsg.argtypes = [ctypes.c_int, pointer, number, ctypes.c_int, pointer]
        self._sendmmsg.argtypes = [ctypes.c_int, pointer, number, ctypes.c_int]

    def receive(self) -> int:
        """Receive what is there; return how many, 0 for nothing."""
        # The kernel has written lengths over these, and would take them for limits.
        self._incoming[:] = self._fresh
        count: int = self._recvmmsg(self._fd, self._in_at, BATCH, _NOWAIT, None)
        if self._wildcard:
            self._forget_interfaces(count)
        return max(0, count)

    def send(self, start: int, end: int) -> None:
        """Send the replies in these slots, each to the client of its datagram.

        UDP may lose a reply: the client asks again. A full send buffer is no reason to wait.
        """
        while start < end:
            at = self._out_at + start * _HEADER.size
            sent: int = self._sendmmsg(self._fd, at, end - start, _NOWAIT)
            if sent < 0 and ctypes.get_errno() in _FULL:
                return
            start += max(sent, 1)  # what cannot be sent at all must not hold up the others

    def client(self, slot: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """Return who sent a datagram, in the form that ``socket.sendto`` takes."""
        at = slot * _NAME
        if self._v6:
            port, flow, packed, scope = _V6.unpack_from(self._names, at)
            scope = int.from_bytes(scope, sys.byteorder)
            return socket.inet_ntop(socket.AF_INET6, packed), port, flow, scope
        port, packed = _V4.unpack_from(self._names, at)
        return socket.inet_ntop(socket.AF_INET, packed), port

    def asked(self, slot: int) -> list[tuple[int, int, bytes]]:
        """Return which address a datagram was sent to, as control data for ``sendmsg``."""
        if not self._wildcard:
            return []
        at = slot * _CONTROL
        length, level, kind = _CMSG.unpack_from(self._controls, at)
        return [(level, kind, bytes(self._controls[at + _CMSG.size : at + length]))]

    def _headers(self, slots: bytearray, size: int) -> tuple[bytearray, bytearray]:
        """Lay out one header and one iovec for each slot; names and control data are shared."""
        headers, iovecs = bytearray(BATCH * _HEADER.size), bytearray(BATCH * _IOVEC.size)
        data, vectors = _at(slots), _at(iovecs)
        names, controls = _at(self._names), _at(self._controls)
        name_size = _NAME if self._v6 else 16
        control = self._control_size()
        for slot in range(BATCH):
            _IOVEC.pack_into(iovecs, slot * _IOVEC.size, data + slot * size, size)
            name, vector = names + slot * _NAME, vectors + slot * _IOVEC.size
            place = controls + slot * _CONTROL if control else 0
            at = slot * _HEADER.size
            _HEADER.pack_into(headers, at, name, name_size, vector, 1, place, control, 0, 0)
        self._memory += [headers, iovecs]
        return headers, iovecs

    def _control_size(self) -> int:
        if not self._wildcard:
            return 0
        return socket.CMSG_SPACE(20 if self._v6 else 12)

    def _forget_interfaces(self, count: int) -> None:
        """Keep the address that was asked, but let routing choose the way back."""
        index = _V6_INDEX if self._v6 else _V4_INDEX
        for at in range(0, count * _CONTROL, _CONTROL):
            self._controls[at + index.start : at + index.stop] = b"\0\0\0\0"


def _ask_for_own_address(bound: socket.socket) -> bool:
    """Have the kernel tell which address was asked, where the socket has more than one."""
    host = bound.getsockname()[0]
    if host == "0.0.0.0":
        bound.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    elif host == "::":
        bound.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    else:
        return False
    return True


def _at(memory: bytearray) -> int:
    """Return the address of memory; it must neither grow nor go while the kernel may use it."""
    return ctypes.addressof((ctypes.c_char * len(memory)).from_buffer(memory))
