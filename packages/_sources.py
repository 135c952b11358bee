"""What a user may write after `plugin install`, and how it gets here. Nothing of it is believed yet.

./fruit                                  a folder with a plugin.toml
fruit-1.0.0.ksp                          a package; its signature lies beside it (.sig)
https://example.org/fruit-1.0.0.ksp      the same, with the same
oci://ghcr.io/acme/fruit:1.0.0           a registry; @sha256:… names one manifest
fruit, fruit@1.0.0                       a plugin of the index
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from msgspec.structs import replace

from kubeshark.errors import PluginError, UsageError
from kubeshark.packages._archive import MAX_PACKAGE_BYTES
from kubeshark.packages._credentials import Credentials
from kubeshark.packages._fetched import Fetched, local
from kubeshark.packages._index import default_index, find, load_index
from kubeshark.packages._registry import Registry, parse_reference
from kubeshark.packages._signature import MAX_SIGNATURE_BYTES, SIGNATURE_SUFFIX
from kubeshark.packages._web import TRIES, Progress, Web, origin, shown

__all__ = ["fetch"]

_BY_ID = re.compile(r"([a-z][a-z0-9-]{0,63})(?:@([0-9][0-9A-Za-z.-]{0,100}))?")


def fetch(
    source: str,
    into: Path,
    *,
    index: str = "",
    credentials: Credentials | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Bring a source to this machine: below the empty folder `into`, unless it is here.

    `source` is one of those above, or `index:…`, as `Fetched.source` names a plugin of an index. UsageError for what
    is none, PluginError for what did not come. `credentials` are for the registry that `source` itself names; one that
    an index names gets what is known for its host.
    """
    if source.startswith("index:"):
        return _from_index(source.removeprefix("index:"), into, index or default_index(), progress)
    if source.startswith("oci://"):
        reference = parse_reference(source)
        pulled = Registry(reference, credentials, progress).pull(into)
        exact = str(replace(pulled.reference, tag=""))
        return Fetched(pulled.package, source, exact, signature=pulled.signature)
    if "://" in source:
        return _download(source, into, progress)
    path = Path(source)
    if path.is_dir() or path.is_file():
        return local(path)
    if _BY_ID.fullmatch(source) and not path.exists():
        return _from_index(source, into, index or default_index(), progress)
    hint = "give a folder, a .ksp file, https://…, oci://… or a plugin's id"
    raise PluginError("is not there", plugin=source, hint=hint)


def _download(url: str, into: Path, progress: Progress | None) -> Fetched:
    web = Web(progress=progress, tries=TRIES)
    origin(url)  # refuses what is no address
    name = PurePosixPath(urlsplit(url).path).name
    path = into / ("package" + PurePosixPath(name).suffix[:16])
    answer = web.send("GET", url, limit=MAX_PACKAGE_BYTES, into=path)
    if answer.status != 200:
        raise PluginError(f"the server answers {answer.status}", plugin=shown(url))
    beside = urlsplit(url)
    signature = Web(tries=TRIES).send(
        "GET", beside._replace(path=beside.path + SIGNATURE_SUFFIX, fragment="").geturl(), limit=MAX_SIGNATURE_BYTES
    )
    return Fetched(path, url, url, signature=signature.body if signature.status == 200 else None)


def _from_index(name: str, into: Path, index: str, progress: Progress | None) -> Fetched:
    match = _BY_ID.fullmatch(name)
    if match is None:
        raise UsageError(f"{name!r} is no plugin's id")
    entry = find(load_index(index), match[1], match[2] or "")
    fetched = fetch(entry.source, into, progress=progress)
    return replace(
        fetched,
        source=f"index:{match[1]}",
        exact=fetched.exact or fetched.source,
        digest=entry.digest.removeprefix("sha256:"),
        signer=entry.signer,
        wanted=entry.id,
    )
