"""Credentials of S3 from ~/.aws/credentials and ~/.aws/config: those of $AWS_PROFILE, else of the profile "default".

As Amazon's own tools have it: keys in the environment go before a profile, a profile that is named before a role of the
machine, and that before "default" only where variables give it (web identity, container). What takes a sign-in of its
own or another service (SSO, a role of another profile) is refused: `credential_process` can bring it.

botocore does all of that, in 31 MB, an eighth of a worker's image; obstore's provider of it wants boto3. What is read
here are two INI files and the answer of a program.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubeshark.errors import StoreError

__all__ = ["AwsProfile", "aws_profile"]

MAX_BYTES = 1 << 20
PROCESS_SECONDS = 60
_ROLES = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_REFUSED = {
    "sso_session": "signs in by SSO",
    "sso_start_url": "signs in by SSO",
    "role_arn": "assumes a role",
    "mfa_serial": "asks for a second factor",
}
_INSTEAD = "aws configure export-credentials --profile NAME --format process"


@dataclass(frozen=True, slots=True)
class AwsProfile:
    """What a profile says. `credentials` is asked whenever there are none that last."""

    credentials: Callable[[], dict[str, Any]]
    region: str  # "" where it says none
    endpoint: str


def aws_profile(environment: Mapping[str, str] = os.environ) -> AwsProfile | None:
    """Return the profile whose credentials count, None where the environment or the machine gives them.

    Raises StoreError for one that is named and not there, or whose credentials cannot be had.
    """
    if environment.get("AWS_ACCESS_KEY_ID"):
        return None
    named = environment.get("AWS_PROFILE", "")
    if not named and any(environment.get(name) for name in _ROLES):
        return None
    name = named or "default"
    home = Path(environment.get("HOME") or "~").expanduser()
    files = (
        (Path(environment.get("AWS_CONFIG_FILE") or home / ".aws/config"), _section(name)),
        (Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials"), name),
    )
    found: dict[str, str] = {}
    is_there = False
    for path, section in files:  # the credentials file goes before
        read = _read(path.expanduser())
        if read.has_section(section):
            is_there = True
            found |= dict(read.items(section))
    where = " and ".join(str(path) for path, _ in files)
    if not is_there:
        if named:
            raise StoreError(f"AWS_PROFILE: there is no profile {name[:100]!r} in {where}")
        return None
    credentials = _credentials(name, found, where, is_named=bool(named))
    if credentials is None:
        return None
    return AwsProfile(
        credentials,
        "" if environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") else found.get("region", ""),
        "" if environment.get("AWS_ENDPOINT_URL") else found.get("endpoint_url", ""),
    )


def _credentials(
    name: str, found: Mapping[str, str], where: str, *, is_named: bool
) -> Callable[[], dict[str, Any]] | None:
    if found.get("aws_access_key_id") and found.get("aws_secret_access_key"):
        keys = _keys(found["aws_access_key_id"], found["aws_secret_access_key"], found.get("aws_session_token"), None)
        return lambda: keys
    if command := found.get("credential_process"):
        _ask(name, command)  # what is wrong with it is said now, and not as an answer of the server
        return lambda: _ask(name, command)
    if not is_named:
        return None  # "default" of who only keeps a region there
    for key, what in _REFUSED.items():
        if key in found:
            raise StoreError(
                f"AWS_PROFILE: profile {name[:100]!r} of {where} {what}, which is not done here",
                hint=f"give it credential_process = {_INSTEAD}",
            )
    raise StoreError(
        f"AWS_PROFILE: profile {name[:100]!r} of {where} has no keys",
        hint="give it aws_access_key_id and aws_secret_access_key, or credential_process",
    )


def _ask(name: str, command: str) -> dict[str, Any]:
    """Run a credential_process; nothing of what it says is repeated in an error."""
    about = f"credential_process of profile {name[:100]!r}"
    try:
        words = shlex.split(command)
        done = subprocess.run(words, capture_output=True, timeout=PROCESS_SECONDS, check=False)
        if done.returncode:
            raise StoreError(f"{about} ended with {done.returncode}", hint="run it by hand")
        said = json.loads(done.stdout)
        expires = said.get("Expiration")
        until = datetime.fromisoformat(expires) if expires else None
        if until is not None and until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        return _keys(str(said["AccessKeyId"]), str(said["SecretAccessKey"]), said.get("SessionToken"), until)
    except subprocess.TimeoutExpired:
        raise StoreError(f"{about} took longer than {PROCESS_SECONDS} s") from None
    except OSError as error:
        raise StoreError(f"{about} cannot be run: {error.strerror}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        hint = "it prints JSON with Version, AccessKeyId, SecretAccessKey and perhaps SessionToken, Expiration"
        raise StoreError(f"{about} did not give credentials", hint=hint) from None


def _keys(key: str, secret: str, token: str | None, until: datetime | None) -> dict[str, Any]:
    return {"access_key_id": key, "secret_access_key": secret, "token": token or None, "expires_at": until}


def _section(name: str) -> str:
    return name if name == "default" else f"profile {name}"


def _read(path: Path) -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=False, default_section="\0")  # "default" is one like others
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_string(file.read(MAX_BYTES))
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError):
        raise StoreError(f"{path} cannot be read", hint="it holds credentials of AWS; see AWS_PROFILE") from None
    except ConfigError as error:  # its text quotes lines, which may be secrets
        raise StoreError(f"{path} is no file of profiles: {type(error).__name__}") from None
    return parser
