"""`/v3/passports/find`: from what stands on a battery to its passport."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from connector.client.api import Api
from connector.client.model import Check, Doc, Fetched


@dataclass(frozen=True, slots=True)
class Found:
    """A passport, and by which way it was had: `steps` are for people, the ids for further requests.

    Use nothing of it unless `ok`: it is about the data, about the credential, and about whether the passport is that of
    the battery which was scanned. `checks` are those beside `fetched.verified`. `bundle` is what `connector passport
    verify` reads, None if the provider offers no credential.
    """

    provider: str
    shell_id: str
    asset_id: str
    transfer_id: str
    steps: tuple[str, ...]
    fetched: Fetched
    ok: bool
    checks: tuple[Check, ...]
    bundle: Doc | None = field(repr=False)
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read the API's answer. A check that is not in it has failed: failing checks deny."""
        report, bundle = doc.get("report"), doc.get("bundle")
        proven = report.get("checks") if isinstance(report, Mapping) else {}
        rows = {**(proven if isinstance(proven, Mapping) else {}), "scanned": doc.get("scanned")}
        checks = tuple(Check.of(name, row) for name, row in rows.items())
        return cls(
            provider=str(doc.get("provider", "")),
            shell_id=str(doc.get("shellId", "")),
            asset_id=str(doc.get("assetId", "")),
            transfer_id=str(doc.get("transferId", "")),
            steps=tuple(map(str, doc.get("steps", ()))),
            fetched=Fetched.of(doc),
            ok=doc.get("ok") is True and all(check.ok for check in checks),
            checks=checks,
            bundle=bundle if isinstance(bundle, Mapping) else None,
            raw=doc,
        )


async def find(api: Api, code: str, *, provider: str | None, semantic_id: str | None, timeout_s: float) -> Found:
    """Have our node do all of it; see `Client.find`."""
    asked = {"code": code, "provider": provider, "semanticId": semantic_id}
    body = {name: value for name, value in asked.items() if value}
    return Found.of((await api.call("POST", "/v3/passports/find", body, timeout_s=timeout_s)).body)
