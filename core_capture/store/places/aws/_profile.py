"""Credentials of S3 from ~/.aws/credentials and ~/.aws/config: those of $AWS_PROFILE, else of the profile "default".

As Amazon's own tools have it: keys in the environment go before a profile, a profile that is named before a role of the
machine, and that before "default" only where variables give it (web identity, container). A profile may have keys, run
a program, or assume a role with another profile's keys, the machine's or a token. What takes somebody who signs in
(SSO, a second factor) is refused: `credential_process` can bring it.

botocore does all of that, in 31 MB, an eighth of a worker's image; obstore's provider of it wants boto3. What is read
here are two INI files; a role takes one signed request (`_sts.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kubeshark.core_capture.store.places.aws._keys import AwsKeys, Lasting, keys_of
from kubeshark.errors import StoreError

if TYPE_CHECKING:
    from kubeshark.core_capture.store.places.aws._sts import Sts

__all__ = ["AwsProfile", "aws_profile"]

MAX_BYTES = 1 << 20
_WEB, _CONTAINER = "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_"
_ROLES = (_WEB, f"{_CONTAINER}RELATIVE_URI", f"{_CONTAINER}FULL_URI")
_ROLE, _EXTERNAL_ID = "KUBESHARK_S3_ROLE_ARN", "KUBESHARK_S3_EXTERNAL_ID"
"""Both from tap.snapshots.cloud.s3: a role that takes an external id cannot be had by an account's token."""

_REFUSED = {
    "sso_session": "signs in by SSO",
    "sso_start_url": "signs in by SSO",
    "mfa_serial": "asks for a second factor",
}
_INSTEAD = "aws configure export-credentials --profile NAME --format process"
_known: dict[object, Lasting] = {}
_knowing = Lock()


class AwsProfile(Struct, frozen=True):
    """What a profile says. `credentials` is asked whenever there are none that last."""

    credentials: Callable[[], dict[str, Any]]
    region: str  # "" where it says none
    endpoint: str


def aws_profile(environment: Mapping[str, str] = os.environ) -> AwsProfile | None:
    """Return the profile whose credentials count, None where the environment or the machine gives them to obstore.

    Raises StoreError for one that is named and not there, or whose credentials cannot be had.
    """
    if environment.get(_ROLE) and environment.get(_EXTERNAL_ID):
        return _role_of_configuration(environment)
    named = environment.get("AWS_PROFILE", "")
    has_keys = bool(environment.get("AWS_ACCESS_KEY_ID"))
    if not named and (has_keys or any(environment.get(each) for each in _ROLES)):
        return None
    name = named or "default"
    files = _Files.of(environment)
    found = files.profile(name)
    if has_keys and (found or {}).get("credential_source") != "Environment":
        return None
    if found is None:
        if named:
            raise StoreError(f"AWS_PROFILE: there is no profile {name[:100]!r} in {files.where}")
        return None
    if not named and not any(key in found for key in _GIVES):
        return None  # "default" of who only keeps a region there
    return AwsProfile(
        _lasting(_Chain(files, environment).of(name), files, environment),
        "" if environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") else found.get("region", ""),
        ""
        if environment.get("AWS_ENDPOINT_URL") or environment.get("AWS_ENDPOINT_URL_S3")
        else found.get("endpoint_url", ""),
    )


_GIVES = ("aws_access_key_id", "credential_process", "role_arn", *_REFUSED)


def _role_of_configuration(environment: Mapping[str, str]) -> AwsProfile:
    """Return the role of tap.snapshots.cloud.s3 that asks for an external id: of whatever this machine has keys of."""
    from kubeshark.core_capture.store.places.aws._sts import Role, assume

    files = _Files.of(environment)
    chain = _Chain(files, environment)
    role = Role(environment[_ROLE], "", environment[_EXTERNAL_ID]).checked("tap.snapshots.cloud.s3")
    source, sts = Lasting(chain.here()), chain.sts({})
    return AwsProfile(_lasting(lambda: assume(role, source(), sts), files, environment), "", "")


def _lasting(ask: Callable[[], AwsKeys], files: _Files, environment: Mapping[str, str]) -> Callable[[], dict[str, Any]]:
    """Return what gives keys to obstore: one for all stores of this process, as an archive is a store a node.

    What is wrong with them is said now, and not as an answer of the server.
    """
    given = frozenset(item for item in environment.items() if item[0].startswith(("AWS_", "KUBESHARK_S3_")))
    with _knowing:
        lasting = _known.setdefault((files, given), Lasting(ask))
    lasting()
    return lambda: lasting().for_obstore()


class _Files(Struct, frozen=True):
    """Both files of profiles: by profile, key and value, the credentials file before the other."""

    profiles: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    where: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> _Files:
        home = Path(environment.get("HOME") or "~").expanduser()
        config = Path(environment.get("AWS_CONFIG_FILE") or home / ".aws/config").expanduser()
        credentials = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials").expanduser()
        found: dict[str, dict[str, str]] = {}
        for path, prefix in ((config, "profile "), (credentials, "")):
            read = _read(path)
            for section in read.sections():
                is_default = section == "default" or not prefix
                if is_default or section.startswith(prefix):
                    name = section if is_default else section.removeprefix(prefix).strip()
                    found.setdefault(name, {}).update(read.items(section))
        whole = tuple((name, tuple(sorted(each.items()))) for name, each in sorted(found.items()))
        return cls(whole, f"{config} and {credentials}")

    def profile(self, name: str) -> dict[str, str] | None:
        return next((dict(items) for each, items in self.profiles if each == name), None)


class _Chain(Struct, frozen=True):
    """From where a profile has its keys: from itself, a program, or a role that another profile may assume."""

    files: _Files
    environment: Mapping[str, str]

    def of(self, name: str, asked: tuple[str, ...] = ()) -> Callable[[], AwsKeys]:
        """Return what asks for the keys of a profile; `asked`: those whose role it is a source of.

        Raises StoreError for one that has none.
        """
        about = f"profile {name[:100]!r}"
        found = self.files.profile(name)
        if found is None:
            raise StoreError(f"source_profile: there is no {about} in {self.files.where}")
        if found.get("role_arn") and name not in asked:
            return self._role(name, about, found, asked)
        if found.get("aws_access_key_id") and found.get("aws_secret_access_key"):
            try:
                keys = keys_of(
                    found["aws_access_key_id"], found["aws_secret_access_key"], found.get("aws_session_token"), None
                )
            except ValueError:
                raise StoreError(f"the keys of {about} are none", hint="they are printable ASCII") from None
            return lambda: keys
        if command := found.get("credential_process"):
            from kubeshark.core_capture.store.places.aws._process import keys_from_process

            return lambda: keys_from_process(about, command)
        self._refuse(about, found)
        raise StoreError(
            f"{about} of {self.files.where} has no keys",
            hint="give it aws_access_key_id and aws_secret_access_key, or credential_process",
        )

    def here(self) -> Callable[[], AwsKeys]:
        """Return what asks for the keys that this process has, whatever they are."""
        from kubeshark.core_capture.store.places.aws._machine import keys_of_container, keys_of_instance
        from kubeshark.core_capture.store.places.aws._sts import Role, assume_by_token

        given, name = dict(self.environment), self.environment.get("AWS_PROFILE", "")
        if given.get("AWS_ACCESS_KEY_ID"):
            return lambda: _of_environment(given)
        if name:
            return self.of(name)
        if token := given.get(_WEB):
            role = Role(given.get("AWS_ROLE_ARN", ""), given.get("AWS_ROLE_SESSION_NAME", "")).checked("AWS_ROLE_ARN")
            sts = self.sts({})
            return lambda: assume_by_token(role, Path(token), sts)
        if any(given.get(each) for each in _ROLES):
            return lambda: keys_of_container(given)
        if any(key in (self.files.profile("default") or {}) for key in _GIVES):
            return self.of("default")
        return lambda: keys_of_instance(given)

    def _refuse(self, about: str, found: Mapping[str, str]) -> None:
        for key, what in _REFUSED.items():
            if key in found:
                raise StoreError(
                    f"{about} of {self.files.where} {what}, which is not done here",
                    hint=f"give it credential_process = {_INSTEAD}",
                )

    def _role(self, name: str, about: str, found: Mapping[str, str], asked: tuple[str, ...]) -> Callable[[], AwsKeys]:
        from kubeshark.core_capture.store.places.aws._sts import Role, assume, assume_by_token

        self._refuse(about, found)
        seconds = found.get("duration_seconds", "0")
        if not seconds.isdecimal() or len(seconds) > 6:
            raise StoreError(f"duration_seconds of {about} is no number")
        role = Role(
            found["role_arn"], found.get("role_session_name", ""), found.get("external_id", ""), int(seconds)
        ).checked(about)
        sts = self.sts(found)
        if token := found.get("web_identity_token_file"):
            return lambda: assume_by_token(role, Path(token).expanduser(), sts)
        by_profile, by_source = found.get("source_profile"), found.get("credential_source")
        if bool(by_profile) == bool(by_source):
            raise StoreError(
                f"{about} assumes a role by {'two sources' if by_profile else 'nothing'}",
                hint="give it one of source_profile, credential_source and web_identity_token_file",
            )
        if by_profile:
            if by_profile in asked:
                raise StoreError(f"the source_profile of {about} is one that it is the source of")
            source = Lasting(self.of(by_profile, (*asked, name)))
        else:
            source = Lasting(self._source(about, by_source or ""))
        return lambda: assume(role, source(), sts)

    def _source(self, about: str, source: str) -> Callable[[], AwsKeys]:
        from kubeshark.core_capture.store.places.aws._machine import keys_of_container, keys_of_instance

        given = dict(self.environment)
        sources = {
            "Environment": lambda: _of_environment(given),
            "EcsContainer": lambda: keys_of_container(given),
            "Ec2InstanceMetadata": lambda: keys_of_instance(given),
        }
        if source not in sources:
            raise StoreError(f"credential_source of {about} is none", hint=f"write {', '.join(sources)}")
        return sources[source]

    def sts(self, found: Mapping[str, str]) -> Sts:
        """Return where STS is, as the environment says, else a profile."""
        from kubeshark.core_capture.store.places.aws._sts import Sts

        given = self.environment
        return Sts.at(
            given.get("AWS_ENDPOINT_URL_STS") or given.get("AWS_ENDPOINT_URL") or found.get("endpoint_url", ""),
            given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or found.get("region") or "us-east-1",
            allow_http=given.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes"),
        )


def _of_environment(given: Mapping[str, str]) -> AwsKeys:
    try:
        return keys_of(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"], given.get("AWS_SESSION_TOKEN"), None)
    except (KeyError, ValueError):
        raise StoreError(
            "the environment, of which keys are asked, holds none",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ) from None


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
