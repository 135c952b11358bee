"""Signing in with an identity provider: OpenID Connect, authorization code with PKCE (RFC 7636).

httpx speaks to the provider, joserfc (by the author of Authlib) reads and checks its tokens: both typed and well kept.

1. `state`, `nonce` and the PKCE verifier lie in a signed cookie of ten minutes; an answer is taken from the browser
   that asked, once it repeats `state`, and only with an ID token that repeats `nonce`.
2. An ID token counts if a key of the provider signed it (never `none`, never a shared secret) for us, from this issuer,
   and it has not expired.
3. Who belongs to none of the groups with a role is refused: signing in with the provider alone opens nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kubeshark.errors import StoreError, UsageError
from kubeshark.hub.access._oidc_settings import OidcSettings
from kubeshark.hub.access._rights import ROLES, Principal, make_principal
from kubeshark.hub.state._hub import complain, hub_of

__all__ = ["Provider", "router"]

router = APIRouter(prefix="/auth", include_in_schema=False)

COOKIE = "kubeshark_login"
LIFETIME_S = 600
KEYS_S = 300.0  # how long the provider's keys are kept; an unknown one is looked up at once
LEEWAY_S = 30
TIMEOUT_S = 10.0
MAX_BYTES = 1 << 20
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


@dataclass(slots=True)
class Provider:
    """A provider as the hub knows it; its documents are fetched when first needed. Any thread."""

    settings: OidcSettings = field(repr=False)
    key: bytes = field(repr=False)  # signs the cookie of a sign-in
    _metadata: Mapping[str, Any] | None = None
    _keys: Any = None
    _keys_read: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            self.key, salt="kubeshark sign-in", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def begin(self, redirect_uri: str) -> tuple[str, str]:
        """Return where to send the browser, and its cookie; StoreError if the provider does not answer."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = str(self._discovered()["authorization_endpoint"])
        cookie = str(self._serializer.dumps({"state": state, "nonce": nonce, "verifier": verifier}))
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", cookie

    def finish(self, cookie: str, state: str, code: str, redirect_uri: str) -> Principal:
        """Return who signed in; UsageError says why not, StoreError that the provider does not answer."""
        try:
            begun = self._serializer.loads(cookie, max_age=LIFETIME_S)
        except BadSignature:
            raise UsageError("this sign-in was not begun here, or too long ago", hint="begin again") from None
        if not hmac.compare_digest(str(begun["state"]), state):
            raise UsageError("the answer belongs to another sign-in", hint="begin again")
        claims = self._claims(self._exchange(code, str(begun["verifier"]), redirect_uri), str(begun["nonce"]))
        return self.principal(claims)

    def principal(self, claims: Mapping[str, Any]) -> Principal:
        """Return what the claims make of somebody: the highest role of their groups, where the groups that give it do.

        A group that gives less adds nothing: who administers one namespace and reads all does not administer all.
        Who is in none has what the default group has, if there is one.
        """
        named = claims.get(self.settings.groups_claim, [])
        groups = [named] if isinstance(named, str) else named if isinstance(named, list) else []
        groups = [group for group in groups if isinstance(group, str)]
        mine = [group for group in groups if group in self.settings.roles and group != self.settings.default]
        if not mine and self.settings.default is not None:
            mine = [self.settings.default]
        name = str(claims.get("email") or claims.get("preferred_username") or claims["sub"])[:100]
        if not mine:
            raise UsageError(f"{name} is in no group that may use this hub")
        role = ROLES[max(ROLES.index(self.settings.roles[group]) for group in mine)]
        highest = [group for group in mine if self.settings.roles[group] == role]
        everywhere = [group for group in highest if group not in self.settings.namespaces]
        namespaces = None if everywhere else {each for group in highest for each in self.settings.namespaces[group]}
        lacking = [frozenset(self.settings.without.get(group, ())) for group in everywhere or highest]
        # a right that is held in some namespaces must not reach others
        without = frozenset.intersection(*lacking) if everywhere else frozenset[str]().union(*lacking)
        source = f"oidc:{claims['sub']}"[:200]
        return make_principal(name, role, namespaces=namespaces, without=without, source=source)

    def _exchange(self, code: str, verifier: str, redirect_uri: str) -> str:
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self.settings.client_id,
            "code_verifier": verifier,
        }
        if self.settings.client_secret:
            body["client_secret"] = self.settings.client_secret
        answer = self._ask("POST", str(self._discovered()["token_endpoint"]), body)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise UsageError("the provider gave no ID token", hint='the scope "openid" must be allowed')
        return token

    def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            try:
                read = jwt.decode(token, self._jwks(fresh=False), algorithms=ALGORITHMS)
            except (JoseError, ValueError):  # its keys may have changed
                read = jwt.decode(token, self._jwks(fresh=True), algorithms=ALGORITHMS)
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self.settings.issuer},
                aud={"essential": True, "value": self.settings.client_id},
                exp={"essential": True},
                sub={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(read.claims)
        except (JoseError, ValueError) as error:
            raise UsageError(f"the provider's ID token is not valid: {error}") from error
        others = read.claims["aud"]
        if isinstance(others, list) and len(others) > 1 and read.claims.get("azp") != self.settings.client_id:
            raise UsageError("the provider's ID token was made for somebody else")  # OpenID Connect Core §3.1.3.7
        return read.claims

    def _discovered(self) -> Mapping[str, Any]:
        with self._lock:
            if self._metadata is None:
                url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = self._ask("GET", url)
                if found.get("issuer") != self.settings.issuer:
                    raise StoreError(f"{url} speaks for another issuer: {found.get('issuer')!r}")
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    if not isinstance(found.get(name), str):
                        raise StoreError(f"{url} does not say {name}")
                self._metadata = found
            return self._metadata

    def _jwks(self, *, fresh: bool) -> Any:
        from joserfc.jwk import KeySet

        url = str(self._discovered()["jwks_uri"])
        with self._lock:
            if self._keys is None or fresh or time.monotonic() - self._keys_read > KEYS_S:
                known: Any = self._ask("GET", url)
                self._keys = KeySet.import_key_set(known)
                self._keys_read = time.monotonic()
            return self._keys

    def _ask(self, method: str, url: str, body: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        import httpx

        try:
            with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client:
                answer = client.request(method, url, data=body, headers={"accept": "application/json"})
            document = answer.json() if len(answer.content) <= MAX_BYTES else None
        except (httpx.HTTPError, ValueError) as error:
            raise StoreError(f"the identity provider does not answer at {url}: {error}") from error
        if answer.status_code != 200 or not isinstance(document, dict):
            raise StoreError(f"the identity provider answers {url} with {answer.status_code}{_reason(document)}")
        return document


def _reason(document: object) -> str:
    """Say what an OAuth error says: it comes from outside."""
    if not isinstance(document, dict) or not isinstance(document.get("error"), str):
        return ""
    return f": {str(document['error'])[:100]}"


@router.get("/login")
def login(request: Request) -> Response:
    provider, redirect_uri = _provider(request)
    try:
        url, cookie = provider.begin(redirect_uri)
    except StoreError as error:
        complain(str(error))
        return _no_answer(_base(request))
    answer = RedirectResponse(url, 303)
    answer.set_cookie(  # Lax: the provider's site sends the browser back
        COOKIE,
        cookie,
        max_age=LIFETIME_S,
        httponly=True,
        samesite="lax",
        secure=_is_tls(request),
        path=_base(request) + "/auth",
    )
    return answer


@router.get("/callback")
def callback(
    request: Request,
    code: Annotated[str, Query(max_length=4_096)] = "",
    state: Annotated[str, Query(max_length=1_024)] = "",
    error: Annotated[str, Query(max_length=1_024)] = "",
) -> Response:
    provider, redirect_uri = _provider(request)
    hub, base = hub_of(request), _base(request)
    if error or not code:
        hub.audit.note(None, "sign in", outcome="refused", reason=error[:100])
        return _page("You are not signed in", f"The identity provider says: {error or 'nothing'}.", 403, base=base)
    try:
        principal = provider.finish(request.cookies.get(COOKIE, ""), state, code, redirect_uri)
    except UsageError as refusal:
        hub.audit.note(None, "sign in", outcome="refused", reason=str(refusal)[:200])
        return _page("You are not signed in", f"{refusal}.", 403, base=base)
    except StoreError as trouble:
        complain(str(trouble))
        return _no_answer(base)
    hub.audit.note(principal, "sign in")
    # A page, not a redirect: a browser that comes from another site would not send the new cookie along.
    answer = _page("You are signed in", "", 200, base=base, onward=True)
    request.scope["gate"].let_in(answer, principal)
    answer.delete_cookie(COOKIE, path=f"{base}/auth", httponly=True, samesite="lax")
    return answer


def _provider(request: Request) -> tuple[Provider, str]:
    provider: Provider = request.app.state.provider
    host = request.headers["host"]  # the gate knows it
    return provider, f"{'https' if _is_tls(request) else 'http'}://{host}{_base(request)}/auth/callback"


def _base(request: Request) -> str:
    return str(request.scope["gate"].base)


def _is_tls(request: Request) -> bool:
    return bool(request.scope["gate"].is_tls)


def _no_answer(base: str) -> HTMLResponse:
    text = "The identity provider does not answer: the hub's log says why."
    return _page("Signing in does not work", text, 502, base=base)


def _page(title: str, text: str, status: int, *, base: str, onward: bool = False) -> HTMLResponse:
    refresh = f'<meta http-equiv="refresh" content="0;url={base}/">' if onward else ""
    link = f'<p><a href="{base}/">Go on</a></p>' if onward else f'<p><a href="{base}/auth/login">Sign in again</a></p>'
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8">{refresh}<title>{html.escape(title)}</title>'
        f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>{link}</html>",
        status,
    )
