"""kubeshark plugin pack|sign|push|index|trust|search: from an author's folder to somebody else's machine."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kubeshark.cli.plugin_install import add_login, login_of
from kubeshark.cli.terminal._complain import complain, printable, remark
from kubeshark.errors import PluginRejected, UsageError

__all__ = ["add_actions"]

PACK = """Make a package: one file with a plugin's folder in it. The same files give the same bytes on every machine.

examples:
  kubeshark plugin build . && kubeshark plugin pack .
  kubeshark plugin build . --target x86_64-linux,aarch64-linux && kubeshark plugin pack . -o dist/stomp.ksp
"""
SIGN = """Sign a package with your Ed25519 key: a file beside it (.sig) that says whose it is. Whoever installs it must
trust your public key, which is printed. Without a key file one is made, once, at $KUBESHARK_SIGNING_KEY or
~/.kubeshark/signing.pem: keep a copy.

example:
  kubeshark plugin sign stomp-1.2.0.ksp --key ~/keys/plugins.pem
"""
TRUST = """Trust the plugins that a key signed. Without KEY, the trusted keys are listed. A key that was removed counts
no more, also for what is installed: such plugins are not loaded. One whose --until is over installs nothing new.

examples:
  kubeshark plugin trust ed25519:vD5c… --name acme --only 'acme-*' --until 2030-12-31
  kubeshark plugin trust ~/.kubeshark/signing.pub
  kubeshark plugin trust --remove acme
"""
PUSH = """Upload a package, with its signature if it has one, to an OCI registry.
Log in as Docker does it (docker login), with --user and --password-file, or set KUBESHARK_REGISTRY (the host),
KUBESHARK_REGISTRY_USER and KUBESHARK_REGISTRY_PASSWORD.

examples:
  kubeshark plugin push stomp-1.2.0.ksp oci://ghcr.io/acme/stomp:1.2.0
  kubeshark plugin push stomp-1.2.0.ksp oci://ghcr.io/acme/stomp:1.2.0 --user acme --password-file - < token
"""
INDEX = """Write packages into a plugin index, a JSON document that others can search and install from. An entry of the
same id and version is replaced. --at says where the packages lie; without it, beside the index.

examples:
  kubeshark plugin index stomp-1.2.0.ksp -o index.json
  kubeshark plugin index stomp-1.2.0.ksp -o index.json --at oci://ghcr.io/acme/stomp
"""
SEARCH = """Search a plugin index; every word must be in an entry's id, language, hooks or description.

example:
  kubeshark plugin search dissect queue --index https://plugins.example.org/index.json
"""


def add_actions(actions: Any) -> None:
    """Add the sub-commands to the parser of `kubeshark plugin`."""
    pack = _add(actions, "pack", "make a package of a plugin's folder", PACK, run_pack)
    pack.add_argument("path", metavar="PATH", nargs="?", default=".")
    pack.add_argument("-o", "--out", metavar="FILE", help="default: ID-VERSION.ksp, here")

    sign = _add(actions, "sign", "sign a package", SIGN, run_sign)
    sign.add_argument("package", metavar="FILE.ksp")
    sign.add_argument("--key", metavar="FILE", help="a private key in PEM form")
    sign.add_argument(
        "--passphrase",
        action="store_true",
        help="encrypt the key that is made: asked for on the terminal, or read from $KUBESHARK_PASSPHRASE_FILE",
    )

    push = _add(actions, "push", "upload a package to a registry", PUSH, run_push)
    push.add_argument("package", metavar="FILE.ksp")
    push.add_argument("reference", metavar="oci://HOST/REPOSITORY:TAG")
    add_login(push)

    index = _add(actions, "index", "write packages into a plugin index", INDEX, run_index)
    index.add_argument("packages", metavar="FILE.ksp", nargs="+")
    index.add_argument("-o", "--out", metavar="INDEX", required=True)
    index.add_argument("--at", metavar="URL", default="", help="https://…/ (a folder) or oci://HOST/REPOSITORY")

    trust = _add(actions, "trust", "trust a key that signs plugins; list, remove", TRUST, run_trust)
    trust.add_argument("key", metavar="KEY|FILE", nargs="?")
    trust.add_argument("--name", metavar="NAME", default="", help="how it is called here")
    trust.add_argument("--until", metavar="DAY", default="", help="the last day, YYYY-MM-DD")
    trust.add_argument("--only", metavar="PATTERN", action="append", default=[], help="plugins' ids (repeat)")
    trust.add_argument("--remove", metavar="NAME|KEY")
    trust.add_argument("--output", choices=("text", "json"), default="text")

    search = _add(actions, "search", "search a plugin index", SEARCH, run_search)
    search.add_argument("words", metavar="WORD", nargs="*")
    search.add_argument("--index", metavar="FILE|URL", default="", help="default: $KUBESHARK_PLUGIN_INDEX")
    search.add_argument("--output", choices=("text", "json"), default="text")


def _add(actions: Any, name: str, summary: str, text: str, run: Any) -> Any:
    parser = actions.add_parser(
        name, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser


def run_pack(args: argparse.Namespace) -> int:
    from kubeshark.extension_api._manifest import read_manifest
    from kubeshark.hosts._artefact import artefact, targets_of
    from kubeshark.packages._archive import pack

    folder = Path(args.path)
    manifest = read_manifest(folder)
    if manifest.language == "python":
        raise PluginRejected("a Python plugin is a package of its own", plugin=manifest.id, hint="python -m build")
    targets = targets_of(folder, manifest) if manifest.language in ("c", "cpp") else {}
    if not targets:
        artefact(folder, manifest)  # says what is missing
    out = Path(args.out or f"{manifest.id}-{manifest.version}.ksp")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        digest = pack(folder, temporary, manifest.id)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    out.with_name(out.name + ".sig").unlink(missing_ok=True)  # of what was there before
    machines = f", for {' and '.join(targets)}" if targets else ""
    print(f"packed {out}: sha256:{digest}, {out.stat().st_size:,} bytes{machines}")
    return 0


def run_sign(args: argparse.Namespace) -> int:
    from kubeshark.core_capture.store.keys._passphrase import ask_new_passphrase, ask_passphrase
    from kubeshark.packages._inspect import inspect
    from kubeshark.packages._keys import create_key, load_key, public_key, sign, signing_key_path
    from kubeshark.packages._signature import SIGNATURE_SUFFIX

    package = Path(args.package)
    found = inspect(package, ignore_signature=True)
    path = Path(args.key) if args.key else signing_key_path()
    if args.passphrase and path.exists():
        raise UsageError(f"{path} exists already", hint=f"openssl pkcs8 -topk8 -v2 aes256 -in {path} encrypts it")
    if args.passphrase or (not args.key and not path.exists()):
        key = create_key(path, ask_new_passphrase(path) if args.passphrase else "")
        complain(f"made the key {path}: keep a copy; {path.with_suffix('.pub')} is for everybody")
    else:
        key = load_key(path, ask_passphrase)
    signature = sign(key, found.manifest.id, found.manifest.version, found.digest)
    package.with_name(package.name + SIGNATURE_SUFFIX).write_bytes(signature.to_bytes())
    print(f"signed {found.manifest.id} {found.manifest.version}: sha256:{found.digest} by {public_key(key)}")
    return 0


def run_push(args: argparse.Namespace) -> int:
    from kubeshark.cli.terminal._progress import Progress
    from kubeshark.packages._inspect import inspect
    from kubeshark.packages._registry import Registry, parse_reference

    if not args.reference.startswith("oci://"):
        raise UsageError(f"{args.reference} is no registry's address", hint="it looks like oci://ghcr.io/acme/fruit:1")
    reference = parse_reference(args.reference)
    package = Path(args.package)
    found = inspect(package)
    labels = {
        "file": found.file_name,
        "title": found.manifest.id,
        "version": found.manifest.version,
        "description": found.manifest.description,
        "licenses": found.manifest.license,
    }
    signature = found.signature.to_bytes() if found.signature else None
    with Progress("pushing") as bar:
        pushed = Registry(reference, login_of(args), bar.show).push(package, signature, labels)
    if signature is None:
        remark(f"{found.manifest.id} {found.manifest.version} is not signed: most will not install it")
    print(f"pushed {pushed}")
    return 0


def run_index(args: argparse.Namespace) -> int:
    from kubeshark.packages._index import entry_for, write_index
    from kubeshark.packages._inspect import inspect

    entries = []
    out = Path(args.out)
    for name in args.packages:
        path = Path(name)
        found = inspect(path)
        if args.at.startswith("oci://"):
            source = f"{args.at}:{found.manifest.version}"
        elif args.at:
            source = f"{args.at.rstrip('/')}/{path.name}"
        elif path.resolve().parent == out.resolve().parent:
            source = path.name
        else:
            raise UsageError(f"{path} does not lie beside {out}", hint="move it there, or say --at https://…")
        entries.append(entry_for(found.manifest, found.digest, source, found.signature.key if found.signature else ""))
    write_index(out, entries)
    print(f"wrote {', '.join(f'{entry.id} {entry.version}' for entry in entries)} into {out}")
    return 0


def run_trust(args: argparse.Namespace) -> int:
    from kubeshark.packages._keys import read_public_key
    from kubeshark.packages._trust import add_key, read_trust, remove_key
    from kubeshark.pipeline.plugins._state import plugins_folder

    if args.remove:
        removed = remove_key(plugins_folder(), args.remove)
        print(f"{removed.name} is trusted no more: {removed.key}")
        return 0
    if args.key:
        path = Path(args.key)
        text = args.key if args.key.startswith("ed25519:") else path.read_text("utf-8", "replace")[:4096]
        key = add_key(plugins_folder(), read_public_key(text), args.name, args.until, args.only)
        scope = f", for {', '.join(key.only)}" if key.only else ""
        end = f", until {key.until}" if key.until else ""
        print(f"trusts {key.name}: {key.key}{scope}{end}")
        return 0
    keys = read_trust(plugins_folder())
    if args.output == "json":
        rows = [
            {"name": key.name, "key": key.key, "added": key.added, "until": key.until, "only": key.only} for key in keys
        ]
        print(json.dumps(rows, indent=1))
    elif not keys:
        print("no key is trusted")
    else:
        for key in keys:
            print(printable(f"{key.name:<16} {key.key}  {','.join(key.only) or '*'}  {key.until or 'for ever'}"))
    return 0


def run_search(args: argparse.Namespace) -> int:
    import msgspec

    from kubeshark.extension_api._manifest import version_key
    from kubeshark.packages._index import default_index, load_index, matches

    entries = [entry for entry in load_index(args.index or default_index()) if matches(entry, args.words)]
    entries.sort(key=lambda entry: (entry.id, version_key(entry.version)))
    if args.output == "json":
        print(json.dumps(msgspec.to_builtins(entries), indent=1))
        return 0
    newest = {entry.id: entry for entry in entries}  # in the order of versions: the last one stays
    for entry in newest.values():
        print(printable(f"{entry.id:<20} {entry.version:<10} {entry.language:<4} {entry.description or entry.source}"))
    if not newest:
        complain("the index has nothing like that")
    return 0 if newest else 1
