"""The settings of an authority: a TOML file and the environment (`AUTHORITY_<SECTION>_<NAME>`), as a node has them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connector.authority.kinds import KINDS
from connector.identity.credentials import Profile
from connector.protocol.errors import Invalid
from connector.settings import is_root, read_toml, setting, values_of

PREFIX: Final = "AUTHORITY"
ISSUER_PATH: Final = "/issuer"
STATUS_PATH: Final = "/status"
DIRECTORY_PATH: Final = "/bpn-directory"
FINDER_PATH: Final = "/api/v1.0/administration/connectors/discovery/search"
MANAGEMENT_PATH: Final = "/management"
_SHORTEST_KEY: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of an authority, checked."""

    did: str = setting("authority.did", "The authority's did:web, which issues all credentials.")
    data: Path = setting("authority.data", "Folder for database and signing key; created if missing.")
    development: bool = setting(
        "authority.development",
        "Allow plain http, loopback and private addresses of members. Never in production.",
        default=False,
    )
    log_level: str = setting("authority.log_level", "debug, info, warning or error.", default="info")
    log_format: str = setting("authority.log_format", "json, or console for people.", default="json")

    url: str = setting("public.url", "The URL under which participants reach the authority, without a trailing slash.")
    host: str = setting("public.host", "Address it listens on for participants.", default="127.0.0.1")
    port: int = setting("public.port", "Port it listens on for participants.", default=9100)
    certificate: Path | None = setting(
        "public.certificate", "PEM file with the certificate chain; reloaded when it changes.", default=None
    )
    certificate_key: Path | None = setting(
        "public.certificate_key", "PEM file with the certificate's key.", default=None
    )
    trust: Path | None = setting("public.trust", "PEM file with additional CAs to trust as a client.", default=None)

    management_host: str = setting("management.host", "Address it listens on for its operator.", default="127.0.0.1")
    management_port: int = setting("management.port", "Port it listens on for its operator.", default=9101)
    management_key: str = setting("management.key", "API key of the operator: env:NAME or file:PATH.", secret=True)

    credentials: tuple[str, ...] = setting(
        "issuing.credentials", "The types of credentials that it issues.", default=tuple(KINDS)
    )
    profiles: tuple[str, ...] = setting(
        "issuing.profiles",
        "Profiles of DCP that it issues in: vc11-sl2021/jwt (what Catena-X wants) and vc20-bssl/jwt.",
        default=(Profile.VC11.value,),
    )
    validity_days: int = setting("issuing.validity_days", "Life of a credential, in days.", default=365)
    invitation_days: int = setting("issuing.invitation_days", "Life of an invitation, in days.", default=14)
    status_ttl: int = setting(
        "issuing.status_ttl",
        "Seconds for which verifiers may keep a status list: until then a revocation need not be known.",
        default=300,
    )
    member_of: str = setting("issuing.member_of", "The data space that members are members of.", default="Catena-X")
    contract_template: str = setting(
        "issuing.contract_template",
        "URL of the framework agreement that members have signed.",
        default="https://catena-x.net/en/catena-x-introduce-implement/governance-framework-for-data-space-operations",
    )
    contract_version: str = setting("issuing.contract_version", "Version of the framework agreement.", default="1.0")

    def __post_init__(self) -> None:
        if not self.did.startswith("did:web:"):
            raise Invalid("authority.did must be a did:web", "/authority/did", self.did)
        if not is_root(self.url):
            fault = "public.url is an http(s) URL with a host, without user, query, fragment or trailing slash"
            raise Invalid(fault, "/public/url", self.url)
        if self.url.startswith("http:") and not self.development:
            raise Invalid("public.url must be https unless authority.development is set", "/public/url", self.url)
        if (self.certificate is None) is not (self.certificate_key is None):
            raise Invalid("public.certificate and public.certificate_key go together", "/public/certificate")
        if len(self.management_key) < _SHORTEST_KEY:
            raise Invalid(f"management.key must have at least {_SHORTEST_KEY} characters", "/management/key")
        self._check_issuing()

    def _check_issuing(self) -> None:
        for name, known in (("credentials", list(KINDS)), ("profiles", [profile.value for profile in Profile])):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values) or not set(values) <= set(known):
                raise Invalid(f"issuing.{name} are some of {', '.join(known)}", f"/issuing/{name}", list(values))
        for name, least in (("validity_days", 1), ("invitation_days", 1), ("status_ttl", 0)):
            if getattr(self, name) < least:
                raise Invalid(f"issuing.{name} is at least {least}", f"/issuing/{name}", getattr(self, name))

    @property
    def issuer_url(self) -> str:
        """The root of the issuer service, as the DID document names it."""
        return self.url + ISSUER_PATH

    def status_url(self, number: int) -> str:
        """Where a status list is published."""
        return f"{self.url}{STATUS_PATH}/{number}"


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read an authority's file and overlay the environment. Raise Invalid naming the setting."""
    return parse(read_toml(path), os.environ if environment is None else environment)


def parse(doc: Mapping[str, Any], env: Mapping[str, str]) -> Settings:
    """Make Settings of a parsed file and an environment."""
    return Settings(**values_of(Settings, doc, env, PREFIX))
