"""Files that TLS is prepared with; what they do is tested with servers."""

import ssl
from pathlib import Path

import pytest

from kdns.errors import UsageError
from kdns.upstream import certificates
from tests.authority import Authority


def test_certificates_are_checked_as_coredns_checks_them(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = certificates.context(*authority.certificate("client"), authority.path)

    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    _, key = authority.certificate("client")

    with pytest.raises(UsageError, match=r"none\.pem: No such file"):
        certificates.context(authority=str(tmp_path / "none.pem"))
    with pytest.raises(UsageError, match=r"none\.pem and .*: No such file"):
        certificates.context(str(tmp_path / "none.pem"), key)


def test_a_file_that_is_no_pem_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, _ = authority.certificate("client")
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")

    with pytest.raises(UsageError, match=r"junk\.pem: no usable PEM"):
        certificates.context(authority=str(junk))
    with pytest.raises(UsageError, match=r"client\.pem and .*junk\.pem: no usable PEM"):
        certificates.context(certificate, str(junk))
