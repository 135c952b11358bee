"""Names that exist and names that do not, over UDP and TCP, and an answer too long for UDP."""

from __future__ import annotations

import subprocess

from network import DNS, LAPTOP, PHONE, WEB, WEB_V6

QUESTIONS = [
    ["shop.example.test", "A"],
    ["shop.example.test", "AAAA"],
    ["www.example.test", "A"],  # an alias
    ["example.test", "MX"],
    ["_stomp._tcp.example.test", "SRV"],
    ["nobody.example.test", "A"],  # NXDOMAIN
    ["shop.example.test", "TXT"],  # no such record
    ["-x", WEB],
    ["-x", WEB_V6],
    ["version.bind", "TXT", "CH"],
    ["elsewhere.example.org", "A"],  # REFUSED: the server knows no other
    ["long.example.test", "TXT"],  # truncated, then asked again over TCP
    ["+tcp", "api.example.test", "A"],
    ["+noedns", "api.example.test", "A"],
    ["+tcp", "+keepopen", "shop.example.test", "A", "api.example.test", "A", "nobody.example.test", "A"],
]


def talk() -> None:
    for at, question in enumerate(QUESTIONS):
        client = (LAPTOP, PHONE)[at % 2]
        command = ["dig", f"@{DNS}", "-b", client, "+tries=1", "+time=3", *question]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
