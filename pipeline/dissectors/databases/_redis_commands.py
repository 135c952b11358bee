"""What a Redis command line says: its key, its secrets, whether it has an answer (Redis command reference)."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = [
    "CONFIRMATIONS",
    "PUSHES",
    "REDACTED",
    "SECRET_OPTIONS",
    "inline_arguments",
    "is_verb",
    "key_of",
    "monitored",
    "redacted",
]

REDACTED = "[redacted]"

PUSHES = {b"message": 3, b"smessage": 3, b"pmessage": 4}
"""What RESP2 subscribers are sent: the first string → elements of the array."""
CONFIRMATIONS = frozenset(
    (b"subscribe", b"psubscribe", b"ssubscribe", b"unsubscribe", b"punsubscribe", b"sunsubscribe")
)
"""Answers of the commands of the same names: one for each channel."""

SECRET_OPTIONS = frozenset(
    (
        *("requirepass", "masterauth", "primaryauth", "sentinel-pass", "auth-pass"),
        *("tls-key-file-pass", "tls-client-key-file-pass"),
    )
)
"""Options of CONFIG whose values are secrets; also keys in the answer to CONFIG GET."""

_WITH_SECRETS = frozenset(("AUTH", "HELLO", "MIGRATE", "CONFIG", "ACL", "SENTINEL"))
_VERB = re.compile(r"[A-Z][A-Z0-9._|-]{0,62}")
_TWICE_QUOTED = re.compile(
    rb"""[ \t]*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\')*)'|([^ \t"'][^ \t]*))""",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}

_VERBS_WITHOUT_KEY = (
    "ACL ASKING AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND CONFIG DBSIZE DEBUG DISCARD ECHO EXEC FAILOVER FLUSHALL"
    " FLUSHDB FUNCTION HELLO INFO KEYS LASTSAVE LATENCY LOLWUT MODULE MONITOR MULTI PING PSYNC PUBSUB QUIT RANDOMKEY"
    " READONLY READWRITE REPLCONF REPLICAOF RESET ROLE SAVE SCAN SCRIPT SELECT SENTINEL SHUTDOWN SLAVEOF SLOWLOG"
    " SWAPDB SYNC TIME UNWATCH WAIT WAITAOF"
)
_WITHOUT_KEY = frozenset(_VERBS_WITHOUT_KEY.split())
_KEY_AT = {
    **dict.fromkeys(("BITOP", "MEMORY", "OBJECT", "XGROUP", "XINFO"), 2),
    "MIGRATE": 3,
}
_KEY_BEHIND_COUNT = {  # where the number of keys is
    **dict.fromkeys(("LMPOP", "SINTERCARD", "ZDIFF", "ZINTER", "ZINTERCARD", "ZMPOP", "ZUNION"), 1),
    **dict.fromkeys(("BLMPOP", "BZMPOP", "EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO"), 2),
}


def is_verb(word: str) -> bool:
    """Say whether an upper-case word can name a command, a module's (`JSON.GET`) too."""
    return _VERB.fullmatch(word) is not None


def key_of(verb: str, arguments: Sequence[str]) -> str:
    """Return the first key (or channel) of a command; `arguments` begin with the verb. "" if it has none."""
    if verb in _WITHOUT_KEY:
        return ""
    at = _KEY_AT.get(verb, 1)
    if verb in ("XREAD", "XREADGROUP"):
        at = next((at + 1 for at, word in enumerate(arguments) if word.upper() == "STREAMS"), 0)
    elif verb in _KEY_BEHIND_COUNT:
        count_at = _KEY_BEHIND_COUNT[verb]
        at = count_at + 1 if len(arguments) > count_at and arguments[count_at] not in ("", "0") else 0
    return arguments[at] if 0 < at < len(arguments) else ""


def redacted(verb: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments (the verb is the first) with passwords and hashes of passwords replaced."""
    shown = list(arguments)
    if verb not in _WITH_SECRETS:
        return shown
    words = [word.upper() for word in arguments[:64]]
    if verb == "AUTH":
        for at in range(1 if len(shown) < 3 else 2, len(shown)):
            shown[at] = REDACTED
    elif verb in ("HELLO", "MIGRATE"):
        for at, word in enumerate(words):
            if word in ("AUTH", "AUTH2"):
                secret = at + 1 if verb == "MIGRATE" and word == "AUTH" else at + 2
                if secret < len(shown):
                    shown[secret] = REDACTED
    elif verb == "CONFIG" and words[1:2] == ["SET"]:
        _hide_values(shown, 2)
    elif verb == "ACL" and words[1:2] == ["SETUSER"]:
        for at in range(3, len(shown)):
            if shown[at][:1] in (">", "<", "#", "!"):
                shown[at] = shown[at][:1] + REDACTED
    elif verb == "SENTINEL":
        for at, word in enumerate(words[:-1]):
            if word in ("AUTH-PASS", "SENTINEL-PASS"):
                shown[at + 1] = REDACTED
    return shown


def monitored(line: str) -> str:
    """Return a line of MONITOR (`TIME [DB ADDRESS] "WORD" …`) with the secrets of its command replaced."""
    head, bracket, command = line.partition("] ")
    words = [word.decode("utf-8", "replace") for word in inline_arguments(command.encode())]
    hidden = redacted(words[0].upper(), words) if words else words
    return line if hidden == words else head + bracket + " ".join(f'"{word}"' for word in hidden)


def _hide_values(shown: list[str], start: int) -> None:
    for at in range(start, len(shown) - 1, 2):
        if shown[at].lower() in SECRET_OPTIONS:
            shown[at + 1] = REDACTED


def inline_arguments(line: bytes) -> list[bytes]:
    """Split an inline command as the server does: blanks separate, quotes group, double quotes know escapes."""
    found = []
    at = 0
    while match := _TWICE_QUOTED.match(line, at):
        at = match.end()
        if match[1] is not None:
            found.append(_ESCAPE.sub(_unescape, match[1]))
        elif match[2] is not None:
            found.append(match[2].replace(b"\\'", b"'"))
        else:
            found.append(match[3])
    return found


def _unescape(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes.fromhex(match[1].decode("ascii"))
    return _ESCAPED.get(match[2], match[2])
