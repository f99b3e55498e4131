"""The exit statuses of commands that ask a question.

0  there is an answer
1  kdns could not ask
2  unreadable arguments
3  NXDOMAIN
4  NODATA: the name exists and has no record of the type
5  REFUSED
6  SERVFAIL
7  any other rcode
"""

from kdns.explain.report import Explanation
from kdns.resolver.results import NOERROR, Result

_BY_RCODE = {"NXDOMAIN": 3, "REFUSED": 5, "SERVFAIL": 6}
_NODATA, _OTHER = 4, 7


def status(result: Result | Explanation) -> int:
    """Return the exit status for an answer."""
    if result.found:
        return 0
    if result.rcode == NOERROR:
        return _NODATA
    return _BY_RCODE.get(result.rcode, _OTHER)
