"""How the certificates of upstreams are checked, and which one is shown to them.

As CoreDNS has it: TLS 1.2 at least, and a name counts only where it is an alternative name.
"""

import ssl

from kdns.errors import UsageError


def context(certificate: str = "", key: str = "", authority: str = "") -> ssl.SSLContext:
    """Prepare TLS with the paths of PEM files; without ``authority`` the system's are trusted.

    Raises UsageError for files that cannot be used.
    """
    try:
        made = ssl.create_default_context(cafile=authority or None)
    except OSError as error:
        raise UsageError(f"{authority}: {_reason(error)}") from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.hostname_checks_common_name = False
    # Python 3.13 turns it on: certificates of small authorities often lack what it asks for.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if certificate:
        try:
            made.load_cert_chain(certificate, key)
        except OSError as error:
            raise UsageError(f"{certificate} and {key}: {_reason(error)}") from error
    return made


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no usable PEM ({error.reason or error})"
    return str(error.strerror)
