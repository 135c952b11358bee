"""kubeshark serve: a store as JSON and a plain page, on this machine."""

from __future__ import annotations

import argparse
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli._local_capture import (
    NO_LOCAL_CAPTURE,
    add_local_capture_options,
    capturing_beside,
    check_local_capture,
)
from kubeshark.cli.options._configured import add_configured, configuration
from kubeshark.cli.options._firewall_options import default_mode, exempt_networks, is_configured
from kubeshark.cli.options._keylog_option import add_keylog_option
from kubeshark.cli.options._kfl import global_filter, macros
from kubeshark.cli.options._redaction import redaction_rules
from kubeshark.cli.options._scripts_option import scripts_config
from kubeshark.cli.options._store_option import add_store_option, store_path
from kubeshark.cli.options._tls_option import add_tls_options, tls_files
from kubeshark.cli.terminal._complain import complain

if TYPE_CHECKING:
    from kubeshark.cluster import Cluster, PodChoice
    from kubeshark.hub.access._oidc_settings import OidcSettings

__all__ = ["add_parser", "add_serving_options", "open_page", "run"]

EXAMPLES = """examples:
  kubeshark serve --store ./store --port 8899
  kubeshark serve --read-only                   to show to others: nothing can be changed
  kubeshark serve -i eth0                       captures, and shows it
  kubeshark serve -i any --filter "not port 22" --max-bytes 20GB
"""
MAX_TOKEN = 1_000
CACHE_MB = 256
"""Who refines a filter asks for the same packets again: a laptop has this much to spare."""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Serve a store until Ctrl-C. The printed URL carries a token that is needed for everything.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_serving_options(parser)
    add_local_capture_options(parser)
    parser.set_defaults(run=run)


def add_serving_options(parser: argparse.ArgumentParser) -> None:
    """Add what the hub of a cluster takes as well, which captures nothing itself."""
    parser.set_defaults(**NO_LOCAL_CAPTURE, is_deployed=False)
    add_store_option(parser)
    add_keylog_option(parser)
    add_configured(parser, "--host", key="hub.host", default="127.0.0.1", help="default: 127.0.0.1")
    add_configured(parser, "--port", key="hub.port", type=int, default=8899, help="default: 8899; 0 picks a free one")
    parser.add_argument("--insecure", action="store_true", help="serve without TLS on an address others can reach")
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="let nobody import, delete or change anything, whatever their role",
    )
    parser.add_argument(
        "--oidc", metavar="FILE", help="JSON: an OpenID Connect provider, and which role its groups have"
    )
    parser.add_argument(
        "--public-host", metavar="NAME", default="", help="the name under which a proxy serves the hub by HTTPS"
    )
    add_configured(
        parser,
        "--base-path",
        key="tap.routing.front.basePath",
        default="",
        metavar="PATH",
        help="the path below which a proxy serves the hub: /kubeshark",
    )
    parser.add_argument(
        "--cache-mb",
        type=parse_megabytes,
        default=CACHE_MB,
        metavar="MB",
        help=f"decrypted packets kept in memory between queries, never on disk; default: {CACHE_MB}; 0: none",
    )
    parser.add_argument(
        "--worker", action="append", default=[], metavar="URL", help="query https://HOST:PORT as well; repeatable"
    )
    parser.add_argument(
        "--kube",
        action="store_true",
        help="watch the cluster of your kubeconfig, or around this pod: names, and who has which address for policies",
    )
    parser.add_argument(
        "--kube-policies",
        action="store_true",
        help="with --kube: also its FirewallPolicy objects, beside the policies that are kept here",
    )
    add_configured(
        parser,
        "--inventory",
        key="firewall.inventory",
        read=lambda file: Path(file).expanduser() if file else None,
        metavar="FILE",
        type=Path,
        help="who has which address, for firewall policies; read when it changes",
    )
    parser.add_argument(
        "--archive",
        action="append",
        default=[],
        metavar="URL",
        help="query s3://BUCKET/PREFIX as well, where workers upload to; repeatable",
    )
    parser.add_argument(
        "--workers-of", metavar="NAME:PORT", default="", help="query a worker at every address of NAME, as they change"
    )
    parser.add_argument(
        "--worker-name",
        metavar="NAME",
        default="",
        help="what certificates of workers say, where they are asked by address",
    )
    add_configured(
        parser,
        "--token-file",
        key="hub.tokenFile",
        metavar="FILE",
        default="",
        help="file with the token; default: $KUBESHARK_TOKEN_FILE, else a new token at each start",
    )
    add_tls_options(parser)
    add_configured(
        parser,
        "--no-browser",
        key="headless",
        action="store_true",
        help="do not open the page on this terminal's screen",
    )


def parse_megabytes(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of megabytes from 0 to 999999")
    return int(text)


def run(args: argparse.Namespace) -> int:
    from msgspec.structs import replace

    from kubeshark.errors import UsageError
    from kubeshark.hub import serve
    from kubeshark.hub.access._tokens import hub_folder
    from kubeshark.hub.state._settings_file import SettingsFile
    from kubeshark.pipeline import Pipeline

    if not 0 <= args.port <= 65_535:
        raise UsageError(f"--port {args.port} is not a port", hint="use 0 to 65535")
    from kubeshark.pipeline.scripts import ServedScripts
    from kubeshark.settings import base_path_of

    base = base_path_of(args.base_path)
    check_local_capture(args)
    cluster = _cluster(args)
    pod_choice = _pod_choice() if cluster is not None else None
    cache_bytes = args.cache_mb << 20
    has_workers = bool(args.worker or args.workers_of or SettingsFile(hub_folder()).read().workers)
    store = Pipeline.open(
        store_path(args),
        create=has_workers or bool(args.archive or args.interface),  # a store of its own may begin empty
        keylogs=args.keylog,
        cache_bytes=cache_bytes,
        workers=args.worker,
        archives=args.archive,
        tls=replace(tls_files(args), peer=args.worker_name),
        macros=macros(),
    )
    with store as pipeline, ServedScripts(pipeline.plugins, scripts_config(), hub_folder() / "scripts") as scripts:

        def log(text: object) -> None:
            complain(text)
            scripts.log(str(text))

        everybodys = global_filter(pipeline)
        with capturing_beside(args, pipeline, log):
            serve(
                pipeline,
                rules=redaction_rules(),
                host=args.host,
                port=args.port,
                insecure=args.insecure,
                announce=lambda url: _announce(store_path(args), url, opens=not args.no_browser),
                log=log,
                oidc=_oidc(args),
                public_host=args.public_host,
                base=base,
                token=_token(args.token_file),
                workers_of=args.workers_of,
                inventory=args.inventory,
                cluster=cluster,
                cluster_policies=args.kube_policies,
                exempt=exempt_networks(),
                default_mode=default_mode(),
                pod_choice=pod_choice,
                scripts=scripts,
                global_filter=everybodys,
                is_read_only=args.read_only,
            )
    return 0


def _cluster(args: argparse.Namespace) -> Cluster | None:
    from kubeshark.errors import UsageError

    if not args.kube:
        if args.kube_policies:
            raise UsageError("--kube-policies are objects of a cluster", hint="give --kube, too")
        return None
    from kubeshark.cluster import Cluster

    if args.inventory is not None and is_configured(args.inventory):
        args.inventory = None  # the cluster knows better
    if args.inventory is not None:
        raise UsageError("--kube and --inventory both say who has which address", hint="use one of them")
    path, context = (configuration.value(key) for key in ("kube.configPath", "kube.context"))
    return Cluster.open(path or "", context or "")


def _pod_choice() -> PodChoice:
    """Return which pods workers capture that ask for it: as the configuration says, else all."""
    from kubeshark.cluster import PodChoice
    from kubeshark.settings import Settings

    loaded = configuration.loaded()
    return PodChoice(loaded.settings if loaded else Settings())


def _token(path: str) -> str:
    """Return the token in a file, "" where none is named."""
    from kubeshark.errors import UsageError

    path = path or os.environ.get("KUBESHARK_TOKEN_FILE", "")
    if not path:
        return ""
    with Path(path).expanduser().open("rb") as file:
        token = file.read(MAX_TOKEN + 1).decode("ascii", "replace").strip()
    if not re.fullmatch(r"[A-Za-z0-9_.~-]{16,512}", token):
        raise UsageError(f"{path} holds no token", hint="16 to 512 letters, digits, - and _, as openssl rand -hex 32")
    return token


def _oidc(args: argparse.Namespace) -> OidcSettings | None:
    """Return how people sign in: by --oidc, for the hub of a cluster also by `tap.auth`."""
    if args.oidc is None:
        return _configured_oidc() if args.is_deployed else None
    from kubeshark.hub.access._oidc_settings import OidcSettings

    return OidcSettings.read(Path(args.oidc).read_bytes())


def _configured_oidc() -> OidcSettings | None:
    loaded = configuration.loaded()
    if loaded is None or not loaded.settings.tap.auth.enabled or loaded.settings.tap.auth.type != "oidc":
        return None
    from kubeshark.errors import UsageError
    from kubeshark.hub.access._oidc_settings import configured_oidc

    secret, path = "", os.environ.get("KUBESHARK_OIDC_SECRET_FILE", "")
    if path:
        try:
            with Path(path).open("rb") as file:
                secret = file.read(MAX_TOKEN + 1).decode("ascii", "replace").strip()
        except OSError as error:
            said = f"{path}, the secret of the identity provider's client: {error.strerror}"
            raise UsageError(said, hint="see tap.auth.oidc.secret") from None
        if not 0 < len(secret) <= MAX_TOKEN or not secret.isprintable():
            raise UsageError(f"{path} holds no secret of a client", hint="see tap.auth.oidc.secret")
    return configured_oidc(loaded.settings.tap.auth, secret)


def _announce(store: Path | str, url: str, *, opens: bool) -> None:
    """Print the URL, and open it where somebody sits in front of a screen."""
    print(f"serving {store} at {url}", flush=True)
    if opens and sys.stdout.isatty():
        open_page(url)


def open_page(url: str) -> None:
    """Open a page in a browser, where there is a screen."""
    if not _has_screen():
        return
    import threading
    import webbrowser

    with suppress(webbrowser.Error):  # in a thread: a browser may take long to say that it is there
        threading.Thread(target=webbrowser.open, args=(url,), name="kubeshark-browser", daemon=True).start()


def _has_screen() -> bool:
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
