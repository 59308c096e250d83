"""Tokens that must be refused, at the edge and in every service alike: one table for both.

Two kinds: what strangers can make, who have the public keys and perhaps a person's token, and
what only identity's own key could sign, and identity never does. The latter show that no
reader's strictness hangs on identity being without fault.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from tests.support.made_tokens import Signer, claims
from tests.support.token_forge import (
    ANOTHER,
    USER,
    Made,
    after,
    b64,
    by_algorithm,
    by_secret,
    claims_text,
    header,
    header_text,
    jwk_of,
    last_bits,
    offering,
    parts,
    signed,
    twice,
    unsigned,
    with_claims,
    with_last_bits,
)

INVALID = frozenset({"TOKEN_INVALID"})
EXPIRED = frozenset({"TOKEN_EXPIRED"})


@dataclass(frozen=True, slots=True)
class BadToken:
    """One that must be refused."""

    name: str
    make: Made
    """Made as it is tried."""
    reasons: frozenset[str] = INVALID
    """What may be said of it."""

    def __str__(self) -> str:
        return self.name


STRANGERS: tuple[BadToken, ...] = (
    BadToken("alg none", unsigned("none")),
    BadToken("alg nOnE", unsigned("nOnE")),
    BadToken("alg empty", unsigned("")),
    BadToken("EdDSA with no signature", unsigned("EdDSA")),
    BadToken("HS256 by the public key", by_secret(lambda s: s.public.raw)),
    BadToken("HS256 by the public key's JWK", by_secret(lambda s: json.dumps(jwk_of(s)).encode())),
    BadToken("HS256 by nothing", by_secret(lambda s: b"")),
    BadToken("RS256 by another key", by_algorithm("RS256")),
    BadToken("ES256 by another key", by_algorithm("ES256")),
    BadToken("HS512 by another key", by_algorithm("HS512")),
    BadToken("EdDSA by a key of Ed448", by_algorithm("EdDSA")),
    BadToken("by a stranger's key", lambda s: signed(Signer(s.key_id))),
    BadToken("by a stranger's key in jwk", offering(jwk=jwk_of)),
    BadToken("by a stranger's key at jku", offering(jku=lambda s: "https://attacker.example/j")),
    BadToken("by a stranger's key at x5u", offering(x5u=lambda s: "https://attacker.example/c")),
    BadToken("by a stranger's key in x5c", offering(x5c=lambda s: [b64(s.public.raw)])),
    BadToken("of another key id", lambda s: signed(Signer(str(uuid.uuid4())))),
    BadToken("key id leads up", lambda s: signed(Signer("../../../../dev/null"))),
    BadToken("key id is SQL", lambda s: signed(Signer("x' OR '1'='1"))),
    BadToken("key id is empty", lambda s: signed(Signer(""))),
    BadToken("other claims", parts(lambda h, p, s: f"{h}.{b64(claims(ANOTHER))}.{s}")),
    BadToken("header cut short", parts(lambda h, p, s: f"{h[:-5]}.{p}.{s}")),
    BadToken("claims cut short", parts(lambda h, p, s: f"{h}.{p[:-5]}.{s}")),
    BadToken("signature cut short", parts(lambda h, p, s: f"{h}.{p}.{s[:-5]}")),
    BadToken("no header", parts(lambda h, p, s: f".{p}.{s}")),
    BadToken("no claims", parts(lambda h, p, s: f"{h}..{s}")),
    BadToken("no signature", parts(lambda h, p, s: f"{h}.{p}.")),
    BadToken("no signature and no dot", parts(lambda h, p, s: f"{h}.{p}")),
    BadToken("header alone", parts(lambda h, p, s: h)),
    BadToken("a part more", parts(lambda h, p, s: f"{h}.{p}.{s}.{s}")),
    BadToken("a dot more before", parts(lambda h, p, s: f".{h}.{p}.{s}")),
    BadToken("a dot more behind", parts(lambda h, p, s: f"{h}.{p}.{s}.")),
    BadToken("a dot more within", parts(lambda h, p, s: f"{h}..{p}.{s}")),
    BadToken("five parts, as what is encrypted has", parts(lambda h, p, s: f"{h}.{p}.{s}.{p}.{s}")),
    BadToken("bytes behind the signature", parts(lambda h, p, s: f"{h}.{p}.{s}AAAA")),
    BadToken("signature padded", parts(lambda h, p, s: f"{h}.{p}.{s}==")),
    BadToken("header padded", parts(lambda h, p, s: f"{h}=.{p}.{s}")),
    BadToken("signature's last bits set", parts(lambda h, p, s: f"{h}.{p}.{last_bits(s)}")),
    BadToken("signature of zeros", parts(lambda h, p, s: f"{h}.{p}.{b64(bytes(64))}")),
    BadToken("not base64", parts(lambda h, p, s: f"{h}.{p}.{s[:-4]}!!!!")),
    BadToken("a stray letter", parts(lambda h, p, s: f"{h}.{p}.{s[:9]}!{s[9:]}")),
    BadToken("JSON, not encoded", parts(lambda h, p, s: f"{json.dumps({'alg': 'none'})}.{p}.{s}")),
    BadToken("words behind it", parts(lambda h, p, s: f"{h}.{p}.{s} and more")),
    BadToken("a comma behind it", parts(lambda h, p, s: f"{h}.{p}.{s},x")),
    BadToken("another one behind it", lambda s: f"{signed(s)}, Bearer {signed(Signer(s.key_id))}"),
    BadToken("a space more before", lambda s: f" {signed(s)}"),
    BadToken("in quotes", lambda s: f'"{signed(s)}"'),
    BadToken("rubbish", lambda s: "rubbish"),
    BadToken("nothing but dots", lambda s: ".."),
    BadToken("huge rubbish", lambda s: "A" * 12_000),
)
"""What whoever likes can make. Where identity's key signs here, what follows spoils it."""

HEADERS: tuple[BadToken, ...] = (
    BadToken("typ JWT", header(typ="JWT")),
    BadToken("typ of an id token", header(typ="id_token+jwt")),
    BadToken("typ in capitals", header(typ="AT+JWT")),
    BadToken("typ as a media type", header(typ="application/at+jwt")),
    BadToken("typ a number", header(typ=1)),
    BadToken("no typ", header(typ=None)),
    BadToken("crit", header(crit=["exp"], exp=1)),
    BadToken("crit of nothing", header(crit=[])),
    BadToken("b64 false", header(crit=["b64"], b64=False)),
    BadToken("with its own jwk", lambda s: header(jwk=jwk_of(s))(s)),
    BadToken("with a jku", header(jku="https://attacker.example/jwks")),
    BadToken("with an x5u", header(x5u="https://attacker.example/c")),
    BadToken("with an x5c", header(x5c=["AA=="])),
    BadToken("with cty", header(cty="JWT")),
    BadToken("with zip", header(zip="DEF")),
    BadToken("with an audience in the header", header(aud="palestra")),
    BadToken("no key id", header(kid=None)),
    BadToken("key id a number", header(kid=1)),
    BadToken("alg Ed25519", header(alg="Ed25519")),
    BadToken("alg eddsa", header(alg="eddsa")),
    BadToken("no alg", header(alg=None)),
    BadToken("header with spaces", header_text(lambda t: t.replace(",", ", "))),
    BadToken("header with an escape", header_text(lambda t: t.replace("at+jwt", "at\\u002bjwt"))),
    BadToken("alg twice, none first", header_text(lambda t: '{"alg":"none",' + t[1:])),
    BadToken("alg twice, none last", header_text(lambda t: t[:-1] + ',"alg":"none"}')),
    BadToken("kid twice", header_text(lambda t: '{"kid":"x",' + t[1:])),
    BadToken("typ twice", header_text(lambda t: t[:-1] + ',"typ":"JWT"}')),
    BadToken("header a list", header_text(lambda t: f"[{t}]")),
    BadToken("header deep", header_text(lambda t: t[:-1] + ',"x":' + "[" * 500 + "]" * 500 + "}")),
)

CLAIMS: tuple[BadToken, ...] = (
    BadToken("claims a list", claims_text(lambda t: f"[{t}]")),
    BadToken("claims a text", claims_text(lambda t: '"claims"')),
    BadToken("claims null", claims_text(lambda t: "null")),
    BadToken("claims no JSON", claims_text(lambda t: t[:-1])),
    BadToken("more behind the claims", claims_text(lambda t: t + "{}")),
    BadToken("claims not UTF-8", claims_text(lambda t: t.encode().replace(b"-app", b"\xff\xfe"))),
    BadToken("claims' last bits set", with_last_bits),
    BadToken("NUL in the subject", with_claims(sub=f"{USER}\0")),
    BadToken("NUL behind the claims", claims_text(lambda t: t + "\0")),
    BadToken("a byte order mark", claims_text(lambda t: "\ufeff" + t)),
    BadToken("deep", claims_text(lambda t: t[:-1] + ',"x":' + "[" * 600 + "]" * 600 + "}")),
    BadToken("sub twice, another's first", twice("sub", str(ANOTHER), first=True)),
    BadToken("sub twice, another's last", twice("sub", str(ANOTHER))),
    BadToken("sub twice, once escaped", twice("\\u0073ub", str(ANOTHER))),
    BadToken("sub twice, the same", twice("sub", str(USER))),
    BadToken("exp twice", twice("exp", 4_102_444_800)),
    BadToken("aud twice", twice("aud", "elsewhere")),
    BadToken("roles twice", twice("roles", ["administrator"])),
    BadToken("scope twice, first", twice("scope", "everything", first=True)),
    BadToken("a name twice within", claims_text(lambda t: t[:-1] + ',"x":{"a":1,"a":2}}')),
    BadToken("issuer another", with_claims(iss="https://elsewhere.example")),
    BadToken("issuer with a slash", with_claims(iss="https://palestra.local/")),
    BadToken("issuer a list", with_claims(iss=["https://palestra.local"])),
    BadToken("no issuer", with_claims(iss=None)),
    BadToken("audience another", with_claims(aud="elsewhere")),
    BadToken("audience a list", with_claims(aud=["palestra"])),
    BadToken("audience others too", with_claims(aud=["palestra", "elsewhere"])),
    BadToken("audience in capitals", with_claims(aud="Palestra")),
    BadToken("no audience", with_claims(aud=None)),
    BadToken("expired", with_claims(iat=after(-900), exp=after(-30)), EXPIRED),
    BadToken("expires never", with_claims(exp=None)),
    BadToken("expires much later", with_claims(exp=after(7200))),
    BadToken("lives longer than any", with_claims(iat=after(-3000), exp=after(3000))),
    BadToken("expired before it began", with_claims(exp=after(-100_000)), INVALID | EXPIRED),
    BadToken("exp a text", with_claims(exp=lambda: str(int(after(600)())))),
    BadToken("exp true", with_claims(exp=True)),
    BadToken("exp huge", with_claims(exp=10**30)),
    BadToken("exp infinite", claims_text(lambda t: t.replace('"exp":', '"exp":1e400,"x":'))),
    BadToken("exp NaN", claims_text(lambda t: t.replace('"exp":', '"exp":NaN,"x":'))),
    BadToken("exp negative", with_claims(exp=-1), INVALID | EXPIRED),
    BadToken("begins later", with_claims(nbf=after(60))),
    BadToken("nbf a text", with_claims(nbf="0")),
    BadToken("issued later", with_claims(iat=after(60), exp=after(960))),
    BadToken("iat a text", with_claims(iat="0")),
    BadToken("no iat", with_claims(iat=None)),
    BadToken("no subject", with_claims(sub=None)),
    BadToken("subject empty", with_claims(sub="")),
    BadToken("subject no UUID", with_claims(sub="somebody")),
    BadToken("subject in braces", with_claims(sub=f"{{{USER}}}")),
    BadToken("subject in capitals", with_claims(sub=str(USER).upper())),
    BadToken("subject a number", with_claims(sub=7)),
    BadToken("no session", with_claims(sid=None)),
    BadToken("session empty", with_claims(sid="")),
    BadToken("session no UUID", with_claims(sid="a session")),
    BadToken("session a list", with_claims(sid=["x"])),
    BadToken("roles a text", with_claims(roles="administrator")),
    BadToken("roles numbers", with_claims(roles=[1])),
    BadToken("scope a list", with_claims(scope=["a"])),
    BadToken("generation a text", with_claims(gen="1")),
    BadToken("oversized", with_claims(scope="x" * 4000)),
)

BAD_TOKENS = (*STRANGERS, *HEADERS, *CLAIMS)
