"""Installing a plugin from the page: a package (.ksp) is the body, and nothing of it runs.

First asked without `install`, it answers what the package is, who signed it and what it asks for: the sheet that
somebody says yes to. What is then installed must have the digest that was shown.
"""

from __future__ import annotations

import tempfile
from base64 import b64decode
from binascii import Error as Base64Error
from collections import defaultdict
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.hub.access._limits import PACKAGE_BYTES
from kubeshark.hub.access._rights import Principal, need
from kubeshark.hub.plugins._plugins import reload
from kubeshark.hub.state._hub import Hub, State

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["plugins"])

Manager = Annotated[Principal, Depends(need("manage"))]
BODY = {
    "requestBody": {
        "required": True,
        "description": "a package as `kubeshark plugin pack` makes it",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Sheet(BaseModel):
    """What somebody decides about."""

    id: str
    version: str
    description: str
    digest: str
    hooks: list[str]
    language: str
    signer: str = Field(description='the trusted key that signed it; "" if there is none')
    doubt: str = Field(description="why it is not trusted")
    asked: dict[str, list[str]] = Field(description="permissions that it asks for")
    missing: dict[str, list[str]] = Field(description="those of them that it would not have")
    replaces: str = Field(description='the installed version, "" if there is none')
    installed: bool


class Wishes(BaseModel):
    """The parameters of an installation."""

    install: bool
    digest: str
    allow_unsigned: bool
    downgrade: bool
    grants: dict[str, list[str]]


@router.post("/plugins", summary="Look at a package, or install it", openapi_extra=BODY)
async def upload(
    hub: State,
    principal: Manager,
    request: Request,
    install: Annotated[bool, Query(description="false: only say what it is")] = False,
    digest: Annotated[str, Query(max_length=64, description="of the sheet that was agreed to")] = "",
    allow_unsigned: bool = False,
    downgrade: bool = False,
    grant: Annotated[list[Annotated[str, Query(max_length=200)]], Query(description="env=NAME")] = [],  # noqa: B006
    x_plugin_signature: Annotated[str, Header(max_length=16_384, description="the .sig file, base64")] = "",
) -> Sheet:
    wishes = Wishes(
        install=install,
        digest=digest,
        allow_unsigned=allow_unsigned,
        downgrade=downgrade,
        grants=_grants(grant),
    )
    try:
        signature = b64decode(x_plugin_signature, validate=True) if x_plugin_signature else None
    except (Base64Error, ValueError):
        raise UsageError("the signature is no base64") from None
    with tempfile.TemporaryDirectory(prefix="kubeshark-upload-") as folder:
        package = Path(folder) / "upload.ksp"
        size = 0
        with package.open("wb") as file:
            async for piece in request.stream():
                size += len(piece)
                if size > PACKAGE_BYTES:
                    raise HTTPException(413, f"a package has at most {PACKAGE_BYTES:,} bytes")
                await run_in_threadpool(file.write, piece)
        return await run_in_threadpool(_stage, hub, principal, package, signature, wishes)


def _stage(hub: Hub, principal: Principal, package: Path, signature: bytes | None, wishes: Wishes) -> Sheet:
    from kubeshark.packages._archive import is_package
    from kubeshark.packages._fetched import Fetched
    from kubeshark.pipeline.plugins._stage import Stage

    if not is_package(package):
        raise UsageError("this is no package", hint='"kubeshark plugin pack FOLDER" makes one')
    source = Fetched(package, "an upload", signature=signature, digest=wishes.digest)
    try:
        with Stage(source) as stage:
            stage.check_grants(wishes.grants)
            asked = stage.manifest.permissions
            sheet = Sheet(
                id=stage.manifest.id,
                version=stage.manifest.version,
                description=stage.manifest.description,
                digest=stage.digest,
                hooks=list(stage.manifest.hooks),
                language=stage.manifest.language,
                signer=stage.signer,
                doubt=stage.doubt,
                asked={"hosts": asked.hosts, "paths": asked.paths, "env": asked.env},
                missing=stage.missing_grants(wishes.grants),
                replaces=stage.installed_version,
                installed=False,
            )
            if not wishes.install:
                return sheet
            if stage.doubt and not wishes.allow_unsigned:
                raise HTTPException(409, f"{sheet.id} {sheet.version} {stage.doubt}")
            about = {"plugin": sheet.id, "version": sheet.version, "digest": sheet.digest, "signer": sheet.signer}
            hub.audit.note(principal, "install plugin", **about)
            stage.commit(grants=wishes.grants, downgrade=wishes.downgrade)
    except PluginRejected as error:
        raise HTTPException(422, str(error)) from error
    reload(hub)
    return sheet.model_copy(update={"installed": True})


def _grants(texts: list[str]) -> dict[str, list[str]]:
    grants: defaultdict[str, list[str]] = defaultdict(list)
    for text in texts:
        kind, equals, value = text.partition("=")
        if not equals or not value:
            raise UsageError(f"grant {text[:80]!r} is not K=V", hint="for example env=NAME")
        grants[kind].append(value)
    return dict(grants)
