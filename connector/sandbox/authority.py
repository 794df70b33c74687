"""A throw-away certificate authority, so that the nodes of a composition talk TLS without anybody's help.

The authority is one file that only its makers see. A node's folder gets what the node needs: its own key, its
certificate, and the authority's certificate to trust. Keys are readable by their owner alone. For trying out and for
tests: nobody else has reason to trust it.
"""

import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from connector.onboarding.folder import write_atomically
from connector.protocol.errors import Invalid, LocalError

CERTIFICATE: Final = "certificate.pem"
KEY: Final = "key.pem"
TRUST: Final = "authority.pem"
_AUTHORITY_LIFE: Final = timedelta(days=3650)
_LIFE: Final = timedelta(days=365)
_RENEWED: Final = timedelta(days=30)
"""A certificate that ends within this time is replaced."""
_SKEW: Final = timedelta(hours=1)
"""Clocks of containers on different hosts may differ."""


def certify(host: str, folder: Path, authority: Path, *, now: datetime) -> bool:
    """See to it that `folder` holds a certificate for the DNS name `host`; tell whether a new one was made.

    authority: the authority's own file, key and certificate; made if missing, also by several at the same time.
    Raise LocalError if a file cannot be read or written, or holds something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        issuer, issuer_key = _authority(authority, now)
        if _holds(folder, host, issuer, now):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        write_atomically(folder / TRUST, _pem(issuer))
        write_atomically(folder / KEY, _key_pem(key))
        write_atomically(folder / CERTIFICATE, _pem(_certificate(host, key, issuer, issuer_key, now)))
    except OSError as error:
        raise LocalError(f"cannot keep {error.filename or folder}: {error.strerror}") from error
    return True


def _authority(file: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
        write_atomically(draft, _new_authority(now))
        try:
            os.link(draft, file)
        except FileExistsError:  # somebody was faster: theirs is the one for all
            pass
        finally:
            draft.unlink()
    content = file.read_bytes()
    try:
        key = serialization.load_pem_private_key(content, password=None)
        certificate = x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise LocalError(f"{file} holds no certificate authority: remove it, and a new one is made") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise LocalError(f"{file} holds another kind of key than is made here: remove it, and a new one is made")
    return certificate, key


def _new_authority(now: datetime) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("throw-away authority of a sandbox")
    builder = _builder(name, name, key, key, now, _AUTHORITY_LIFE, is_authority=True)
    return _key_pem(key) + _pem(builder.sign(key, hashes.SHA256()))


def _certificate(
    host: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    try:
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        builder = _builder(_name(host), issuer.subject, key, issuer_key, now, _LIFE, is_authority=False)
    except ValueError as error:
        raise Invalid(f"{host[:100]} is no host name in ASCII") from error
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    signed = builder.add_extension(names, critical=False).add_extension(usage, critical=False)
    return signed.sign(issuer_key, hashes.SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    life: timedelta,
    *,
    is_authority: bool,
) -> x509.CertificateBuilder:
    """What both kinds of certificates have, as strict verifiers want it (RFC 5280, 4.2.1)."""
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    own, above = key.public_key(), issuer_key.public_key()
    return (
        x509.CertificateBuilder(issuer, subject, own, x509.random_serial_number(), now - _SKEW, now + life)
        .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    )


def _holds(folder: Path, host: str, issuer: x509.Certificate, now: datetime) -> bool:
    """Whether everything is there, fits together, and will do for a while."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        key = serialization.load_pem_private_key((folder / KEY).read_bytes(), password=None)
        trusted = x509.load_pem_x509_certificate((folder / TRUST).read_bytes())
        certificate.verify_directly_issued_by(issuer)
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature):
        return False
    named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        trusted == issuer
        and key.public_key() == certificate.public_key()
        and named.get_values_for_type(x509.DNSName) == [host]
        and certificate.not_valid_after_utc - now > _RENEWED
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
