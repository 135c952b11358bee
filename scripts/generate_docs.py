"""Writes the reference pages that are made from code: docs/plugins/hooks.md, docs/kfl-variables.md, docs/protocols.md,
docs/firewallpolicy.schema.json, docs/configuration.md.

python scripts/generate_docs.py            write them
python scripts/generate_docs.py --check    exit 1 if one is stale
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

from kubeshark.extension_api import HOOKS, Hook
from kubeshark.firewall import policy_schema
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.kfl import VARIABLES
from kubeshark.pipeline.plugins._bindings import RAW
from kubeshark.settings import keys
from kubeshark.settings._ignored import NOT_READ
from kubeshark.settings._yaml import flow_text

sys.path.insert(0, str(Path(__file__).parent))
from generate_sdk import SPELLINGS

DOCS = Path(__file__).resolve().parents[1] / "docs"


def hooks_page() -> str:
    """Return the page of hook points, one heading a hook, by stage."""
    parts = [
        "# Hook points\n\nMade from `extension_api/_hookspecs.py`. A Python plugin implements them with `@hookimpl`"
        " and is found through the entry\npoint group `kubeshark.plugins`; plugins in other languages through their SDK"
        " ([batch ABI](../adr/0003-batch-abi.md)).\nThe headings are Python's signatures; what the other languages"
        " write stands below each.\n"
    ]
    for hook in HOOKS:
        number = f" · ABI number {hook.number}" if hook.number else " · Python only"
        parts.append(f"## `{signature(hook)}`\n\nStage: {hook.stage}{number}\n\n{inspect.getdoc(hook)}\n")
        if spelling := SPELLINGS.get(hook.name):
            rows = [
                ("JavaScript", spelling.typescript),
                ("C", spelling.c),
                ("C++", cpp_signature(spelling.cpp_call)),
                ("Go", f"{spelling.go_interface}: {spelling.go_method}"),
            ]
            lines = [f"| {language} | `{text}` |".replace(' | "', ' \\| "') for language, text in rows]
            parts.append("| language | |\n|---|---|\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def cpp_signature(call: str) -> str:
    """Turn the call that finds a member function into its signature, without names."""
    return re.sub(r"std::declval<(.*?)>\(\)", r"\1", call).replace("0u", "uint32_t").replace("int64_t{}", "int64_t")


def signature(hook: type[Hook]) -> str:
    arguments = ", ".join(f"{field.name}: {field.type}" for field in fields(hook))
    return f"{hook.name}({arguments}) -> {hook.returns}"


def variables_page() -> str:
    """Return the page of KFL variables, by section: those of Kubeshark's language, then what dissectors add."""
    sections: defaultdict[str, list[str]] = defaultdict(list)
    for variable in VARIABLES.values():
        heavy = "yes" if variable.is_heavy else ""
        sections[variable.section].append(f"| `{variable.name}` | {variable.type} | {heavy} |")
    listed = set(VARIABLES)
    for binding in Plugins().protocols.all:
        for name, kind in binding.protocol.variables.items():
            if name not in listed:
                sections[binding.protocol.name].append(f"| `{name}` | {kind} |  |")
                listed.add(name)
    parts = [
        "# KFL variables\n\nMade from `pipeline/kfl/_variables.py` and the built-in dissectors. Entries that lack one"
        " have its default. *Full\nentry* marks those that need headers, bodies or payload, which are built only when"
        " asked for. Plugins add their own.\n"
    ]
    for section, rows in sections.items():
        parts.append(f"## {section}\n\n| variable | type | full entry |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def protocols_page() -> str:
    """Return the page of built-in protocols, in the order in which they are tried."""
    parts = [
        "# Protocols\n\nMade from the built-in dissectors. A stream goes to the first protocol, in this order, whose"
        " content check accepts it; the ports only say\nwho is asked first. *Checked against*: a real server and client"
        " in `tests/live`, or captures only.\n",
        "| protocol | KFL flags | ports | over | may go on in | checked against |\n|---|---|---|---|---|---|",
    ]
    listed = set()
    for binding in Plugins().protocols.all:
        spec = binding.protocol
        if binding.plugin == RAW or spec.long_name in listed:  # some plugins show what they meet as another's protocol
            continue
        listed.add(spec.long_name)
        over = sorted({spec.layer4} | {classifier.transport for classifier in spec.classifiers})
        ports = sorted({*spec.ports} | {port for classifier in spec.classifiers for port in classifier.ports})
        onwards = ", ".join("any" if flag == "*" else f"`{flag}`" for flag in spec.hands_over)
        name = f"[{spec.abbr}]({spec.reference}): {spec.long_name}" if spec.reference else spec.long_name
        row = (name, " ".join(f"`{flag}`" for flag in spec.flags), " ".join(map(str, ports)), " ".join(over), onwards)
        parts.append(f"| {' | '.join(row)} | {checked_against(binding.plugin)} |")
    return "\n".join([*parts, BELOW]) + "\n"


BELOW = """
## Below them

* **Links**: Ethernet (802.3, LLC, SNAP), Linux cooked 1 and 2, loopback of BSD, macOS and Windows, raw IP, PPP, PPPoE,
  Cisco HDLC, Frame Relay, 802.11 (plain, radiotap, Prism, AVS, PPI), PKTAP, NFLOG, PFLOG, ENC, IPNET, Token Ring, FDDI,
  ATM, ARCNET, ERF, switches' tags (DSA, Broadcom). Packets of other links are kept and exported, and give no entries.
* **Tags**: 802.1Q and 802.1ad, 802.1ah, MPLS and its pseudowires, NSH, 802.1BR, VN-Tag, HSR, 802.1CB, security groups,
  MACsec that is authenticated but not encrypted.
* **Tunnels**: IP in IP, GRE (PPTP, EoIP, WCCP), ERSPAN I to III, EtherIP, VXLAN and VXLAN-GPE, Geneve, GTP-U, L2TP,
  Teredo, LISP. An entry's ends are the innermost ones. AH is passed; ESP gives a connection, and nothing inside.
* **Fragments** of IPv4 and IPv6 are put together; of a datagram that was never whole the head is shown, as cut.
"""


def checked_against(plugin: str) -> str:
    """Say how a dissector meets reality."""
    name = plugin.rpartition(".")[2]
    live = DOCS.parent / "tests" / "live"
    own = [live / f"test_{name}.py", live / f"test_{name.rstrip('0123456789')}.py"]
    return "real server" if any(path.is_file() for path in own) else "captures"


def firewall_schema() -> str:
    """Return the JSON Schema of firewall policies, as `kubeshark firewall schema` prints it."""
    return json.dumps(policy_schema(), indent=2) + "\n"


CONFIGURATION = """# Configuration

One file, `kubeshark.yaml`, for all commands. `kubeshark init` writes it by asking ([init.md](init.md)), `kubeshark
config --regenerate` with all keys, `kubeshark config` prints what is in force and where each value came from,
`kubeshark config --validate` checks it, `--schema` prints its JSON Schema for editors.

* **Which file**: `--config-path FILE`, else `$KUBESHARK_CONFIG`, else `./kubeshark.yaml`, else
  `~/.kubeshark/config.yaml`. None is fine.
* **Who wins**: default < file < environment (`KUBESHARK_STORE`, `KUBESHARK_IDENTITY`) < flags of a command < `--set
  KEY=VALUE`. The help of an option names its key: `[query.jobs]`.
* **`--set`** is read by the key's type. A list's key given again adds to the list, `--set key=` empties, `--set
  scripting.env.NAME=value` sets one name of a mapping, and a value that begins with `[` or `{` is YAML. An unknown
  key is an error with the nearest name; in a file it is a warning with its line.
* **Texts** are what is written: `regex: no` and `tag: 1.10` are `no` and `1.10`. Sizes: `10Gi`, `500MB`. Durations:
  `30s`, `1h30m`, `30d`.
* **Secrets** do not belong in it: keys are named by file or by Kubernetes Secret, tokens come from the environment.
  What looks like one is refused.
* **Kubeshark's keys** keep their names where the meaning is the same; those without a meaning here are taken with the
  warning "has no effect here". Four defaults differ on purpose: `tap.tls` and `tap.serviceMesh` are off,
  `tap.auth.enabled` and `scripting.enabled` are on.

Keys of `tap` are for a cluster; the rest is for every machine that reads the file. Commands on this machine do not
read these yet: `capture.ringBytes`, `store.segmentBytes`, `store.compress`, `store.wal`,
`query.executor`, `query.bodyLimit`, `redaction.exceptRoles`, `hub.tls`, `hub.allowedOrigins`, `plugins` but `dir`,
`pcapdump`, `logs`, `logLevel`. Nothing reads those marked *No effect.* below: another value than the default is taken
with that warning.
"""


def configuration_page() -> str:
    """Return the page of the configuration, a table a section, made from `settings/_model.py` and `_tap.py`."""
    sections: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys().values():
        section = key.path.split(".")[0] if "." in key.path else "other"
        default = flow_text(key.default).replace("|", "\\|")
        comment = key.comment.replace("|", "\\|") + (" *No effect.*" if key.path in NOT_READ else "")
        sections[section].append(f"| `{key.path}` | `{default}` | {comment} |")
    tables = [
        f"## {section}\n\n| key | default | |\n|---|---|---|\n" + "\n".join(rows) + "\n"
        for section, rows in sections.items()
    ]
    return "\n".join([CONFIGURATION, *tables])


PAGES = {
    "configuration.md": configuration_page,
    "plugins/hooks.md": hooks_page,
    "kfl-variables.md": variables_page,
    "protocols.md": protocols_page,
    "firewallpolicy.schema.json": firewall_schema,
}


def main() -> int:
    stale = []
    for name, build in PAGES.items():
        page, text = DOCS / name, build()
        if "--check" in sys.argv:
            stale += [name] if not page.is_file() or page.read_text() != text else []
        else:
            page.parent.mkdir(exist_ok=True)
            page.write_text(text)
    if stale:
        print(f"stale: {', '.join(stale)}: run make docs")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
