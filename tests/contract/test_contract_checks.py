"""Each rule of the contract's build: broken, it is refused by file and method; whole, it passes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from mesh import policy
from scripts import contract, protos
from scripts.contract_checks import Finding
from tests.support.small_contracts import REASONS, SmallContract, compile_all

METHOD = "ThingService.DoThing"
WHOLE = SmallContract()
BY_ADDRESS = "limit: {requests: 1 window_s: 60 key: LIMIT_KEY_ADDRESS}"
ANYONE = f"access: ACCESS_PUBLIC timeout_ms: 1 repeat: REPEAT_NATURAL {BY_ADDRESS}"
USER = "access: ACCESS_USER timeout_ms: 1000 repeat: REPEAT_NATURAL"
READ = "access: ACCESS_USER timeout_ms: 1000 repeat: REPEAT_READ"
OWNED = f'{USER} owner: "name" others: OTHERS_DENY'
NAME = "string name = 1;"


def http(rule: str) -> str:
    return f"option (google.api.http) = {{{rule}}};"


def get(fields: str, path: str = "/v1/CASE/things") -> SmallContract:
    return SmallContract(http=http(f'get: "{path}"'), fields=fields)


def told(words: str, fields: str = "") -> SmallContract:
    return SmallContract(policy=words, fields=fields)


def stream(
    says: str = "oneof event { Beat heartbeat = 1; Ended ended = 2; }",
    end: str = "End reason = 1; google.rpc.Status error = 2;",
    values: str = "END_RESUMABLE = 1; END_FAILED = 2;",
) -> SmallContract:
    return SmallContract(
        http=http('get: "/v1/CASE/things:watch"'), answers="stream ",
        policy="access: ACCESS_USER repeat: REPEAT_READ", says=says,
        more="message Beat { google.protobuf.Timestamp time = 1; } "
        f"message Ended {{ {end} }} enum End {{ END_UNSPECIFIED = 0; {values} }}",
    )  # fmt: skip


Case: TypeAlias = tuple[SmallContract, str, str]
# What is broken, who is at fault, and what is said. Each case has this one fault only.
BROKEN: dict[str, Case] = {
    "no_policy": (SmallContract(policy=None), METHOD, "no policy"),
    "access_missing": (
        told("timeout_ms: 1000 repeat: REPEAT_NATURAL"), METHOD, "access is not specified"),
    "repeat_missing": (
        told("access: ACCESS_USER timeout_ms: 1000"), METHOD, "repeat is not specified"),
    "role_without_roles": (
        told("access: ACCESS_ROLE timeout_ms: 1000 repeat: REPEAT_NATURAL"), METHOD, "roles"),
    "roles_without_role": (told(f'{USER} roles: "coach"'), METHOD, "roles"),
    "role_unknown": (
        told('access: ACCESS_ROLE roles: "king" timeout_ms: 1000 repeat: REPEAT_NATURAL'),
        METHOD, "no role 'king'"),
    "role_of_everybody": (
        told('access: ACCESS_ROLE roles: "athlete" timeout_ms: 1000 repeat: REPEAT_NATURAL'),
        METHOD, "no role 'athlete'"),
    "others_role_unknown": (
        told(f'{USER} owner: "name" others: OTHERS_ROLE others_role: "king"', NAME),
        METHOD, "no role 'king'"),
    "stored_without_request_id": (
        told("access: ACCESS_USER timeout_ms: 1000 repeat: REPEAT_STORED"),
        METHOD, "REPEAT_STORED needs a string request_id"),
    "stored_stream": (
        SmallContract(
            http="", answers="stream ", fields="string request_id = 1;",
            policy="access: ACCESS_USER repeat: REPEAT_STORED"),
        METHOD, "REPEAT_STORED means nothing for a stream"),
    "stored_hash_of_a_secret": (
        told(
            "access: ACCESS_USER timeout_ms: 1000 repeat: REPEAT_STORED",
            "string request_id = 1; "
            "string code = 2 [(palestra.mesh.v1.personal) = PERSONAL_CLASS_SECRET];"),
        METHOD, "so the method is REPEAT_SECRET"),
    "stored_hash_of_a_token": (
        told(
            "access: ACCESS_USER timeout_ms: 1000 repeat: REPEAT_STORED",
            "string request_id = 1; "
            "string key = 2 [(palestra.mesh.v1.personal) = PERSONAL_CLASS_TOKEN];"),
        METHOD, "so the method is REPEAT_SECRET"),
    "rendered_without_rest": (
        SmallContract(http="", policy=f"{USER} rendering: RENDERING_SERVICE"), METHOD,
        "means nothing without a REST mapping"),
    "rendered_stream": (
        SmallContract(
            http="", answers="stream ",
            policy="access: ACCESS_USER repeat: REPEAT_NATURAL rendering: RENDERING_SERVICE"),
        METHOD, "means nothing for a stream"),
    "rendered_without_cache": (
        replace(get(""), policy=f"{READ} rendering: RENDERING_SERVICE"), METHOD,
        "needs a cache"),
    "masked_by_the_edge": (
        get("google.protobuf.FieldMask read_mask = 1;"), METHOD,
        "read_mask needs RENDERING_SERVICE"),
    "service_without_callers": (
        SmallContract(
            http="", policy="access: ACCESS_SERVICE timeout_ms: 1000 repeat: REPEAT_NATURAL"),
        METHOD, "no callers"),
    "caller_unknown": (told(f'{USER} callers: "nobody"'), METHOD, "no service 'nobody'"),
    "scope_for_the_public": (
        told(f'{ANYONE} scope: "a.read"'),
        METHOD, "scope means nothing"),
    "freshness_for_the_public": (
        told(f"{ANYONE} fresh_auth_s: 60"),
        METHOD, "fresh_auth_s means nothing"),
    "plan_for_the_public": (
        told(f'{ANYONE} requires_plan: "pro"'),
        METHOD, "requires_plan means nothing"),
    "audited_stream": (
        SmallContract(
            http="", answers="stream ",
            policy="access: ACCESS_USER repeat: REPEAT_NATURAL audit: true"),
        METHOD, "no audit record"),
    "owner_unknown": (
        told(f'{USER} owner: "thing" others: OTHERS_DENY'), METHOD, "no field thing"),
    "owner_below_nothing": (
        told(f'{USER} owner: "name.first" others: OTHERS_DENY', NAME), METHOD,
        "no field name.first"),
    "owner_no_string": (told(OWNED, "int32 name = 1;"), METHOD, "not one string"),
    "owner_repeated": (told(OWNED, "repeated string name = 1;"), METHOD, "not one string"),
    "owner_without_others": (told(f'{USER} owner: "name"', NAME), METHOD, "together"),
    "others_without_owner": (told(f"{USER} others: OTHERS_DENY"), METHOD, "together"),
    "owner_for_the_public": (
        told(f'{ANYONE} owner: "name" others: OTHERS_DENY', NAME),
        METHOD, "owner means nothing"),
    "owner_of_a_stream": (
        SmallContract(
            http="", takes="stream ", answers="stream ", fields=NAME,
            policy='access: ACCESS_USER repeat: REPEAT_NATURAL owner: "name" others: OTHERS_DENY'),
        METHOD, "stream of requests is not checked"),
    "others_role_missing": (
        told(f'{USER} owner: "name" others: OTHERS_ROLE', NAME), METHOD, "others_role"),
    "others_role_superfluous": (
        told(f'{OWNED} others_role: "coach"', NAME), METHOD, "others_role"),
    "name_in_path_without_owner": (
        get(NAME, "/v1/CASE/{name=users/*}"), METHOD, "name names a person's thing"),
    "parent_in_path_without_owner": (
        get("string parent = 1;", "/v1/CASE/{parent=users/*}/things"), METHOD,
        "parent names a person's thing"),
    "resource_in_path_without_owner": (
        SmallContract(
            http=http('patch: "/v1/CASE/{thing.name=users/*}" body: "thing"'),
            fields="Thing thing = 1;", more="message Thing { string name = 1; }"),
        METHOD, "thing.name names a person's thing"),
    "name_by_pattern_without_owner": (
        SmallContract(
            http="", fields='string name = 1 [(buf.validate.field).string.pattern = "^users/.+"];'),
        METHOD, "name names a person's thing"),
    "timeout_missing": (
        told("access: ACCESS_USER repeat: REPEAT_NATURAL"), METHOD, "timeout_ms is to be within"),
    "timeout_too_long": (
        told("access: ACCESS_USER timeout_ms: 60001 repeat: REPEAT_NATURAL"), METHOD,
        "timeout_ms is to be within"),
    "timeout_of_a_stream": (
        SmallContract(http="", answers="stream "), METHOD, "a stream has no timeout_ms"),
    "keyed_without_request_id": (
        told("access: ACCESS_USER timeout_ms: 1000 repeat: REPEAT_KEYED"), METHOD, "request_id"),
    "keyed_by_a_number": (
        told("access: ACCESS_USER timeout_ms: 1000 repeat: REPEAT_KEYED", "int64 request_id = 1;"),
        METHOD, "request_id"),
    "read_by_post": (
        told("access: ACCESS_USER timeout_ms: 1000 repeat: REPEAT_READ"), METHOD, "mapped to POST"),
    "limit_without_requests": (
        told(f"{USER} limit: {{window_s: 60 key: LIMIT_KEY_USER}}"), METHOD, "limit is to say"),
    "limit_without_window": (
        told(f"{USER} limit: {{requests: 1 key: LIMIT_KEY_USER}}"), METHOD, "limit is to say"),
    "limit_without_key": (
        told(f"{USER} limit: {{requests: 1 window_s: 60}}"), METHOD, "limit is to say"),
    "limit_by_nobodys_token": (
        told("access: ACCESS_PUBLIC timeout_ms: 1 repeat: REPEAT_NATURAL "
             "limit: {requests: 1 window_s: 60 key: LIMIT_KEY_USER}"),
        METHOD, "no token to count"),
    "limit_missing_in_public": (
        told("access: ACCESS_PUBLIC timeout_ms: 1 repeat: REPEAT_NATURAL"),
        METHOD, "anyone may call it, so it needs a limit"),
    "limit_of_services": (
        SmallContract(
            http="", policy='access: ACCESS_SERVICE callers: "training" timeout_ms: 1 '
                            f"repeat: REPEAT_NATURAL {BY_ADDRESS}"),
        METHOD, "services are not counted"),
    "limit_too_wide": (
        told(f"{USER} limit: {{requests: 1 window_s: 86401 key: LIMIT_KEY_USER}}"),
        METHOD, "limit is at most"),
    "limit_of_a_client_at_one_edge": (
        told(f"{USER} limit: {{requests: 1 window_s: 60 key: LIMIT_KEY_CLIENT}}"),
        METHOD, "a client calls through every edge"),
    "limit_of_secrets_at_one_edge": (
        told("access: ACCESS_PUBLIC timeout_ms: 1 repeat: REPEAT_SECRET "
             f"{BY_ADDRESS}",
             "string code = 1 [(palestra.mesh.v1.personal) = PERSONAL_CLASS_SECRET];"),
        METHOD, "anyone may try secrets at it"),
    "error_unknown": (told(f'{USER} errors: "MISSING"'), METHOD, "no error reason MISSING"),
    "error_unspecified": (
        told(f'{USER} errors: "UNSPECIFIED"'), METHOD, "no error reason UNSPECIFIED"),
    "reason_without_meaning": (
        SmallContract(reasons="enum ErrorReason { ERROR_REASON_UNSPECIFIED = 0; "
                              "ERROR_REASON_BROKEN = 1; }"),
        "ErrorReason.ERROR_REASON_BROKEN", "no meaning"),
    "reason_that_is_ok": (
        SmallContract(reasons=REASONS.replace("code: ABORTED", "")),
        "ErrorReason.ERROR_REASON_BROKEN", "code is OK"),
    "reason_without_english": (
        SmallContract(reasons=REASONS.replace("Broken.", " ")),
        "ErrorReason.ERROR_REASON_BROKEN", "no words in 'en'"),
    "reason_without_russian": (
        SmallContract(reasons=REASONS.replace('ru: "Сломано."', "")),
        "ErrorReason.ERROR_REASON_BROKEN", "no words in 'ru'"),
    "verb_unknown": (
        SmallContract(http=http('custom: {kind: "HEAD" path: "/v1/CASE/things"}')),
        METHOD, "HEAD is none of"),
    "verb_missing": (
        SmallContract(http=http('custom: {path: "/v1/CASE/things"}')), METHOD, "no verb"),
    "body_of_a_get": (
        SmallContract(http=http('get: "/v1/CASE/things" body: "*"')), METHOD, "GET has no body"),
    "body_of_a_delete": (
        SmallContract(http=http('delete: "/v1/CASE/things" body: "*"')),
        METHOD, "DELETE has no body"),
    "template_without_slash": (get("", "v1/CASE"), METHOD, "`/` is wanted at column 1"),
    "template_unclosed": (get(NAME, "/v1/CASE/{name=things/*"), METHOD, "`}` is wanted"),
    "template_nested": (
        get(NAME, "/v1/CASE/{name=things/{name}}"), METHOD, "a segment is wanted"),
    "template_empty_segment": (get("", "/v1//CASE"), METHOD, "a segment is wanted at column 5"),
    "template_wild_middle": (
        get(NAME, "/v1/CASE/{name=**}/things"), METHOD, "`**` may only be the last"),
    "template_empty_verb": (get("", "/v1/CASE/things:"), METHOD, "a verb is wanted"),
    "variable_unknown": (get("", "/v1/CASE/{thing}"), METHOD, "no field thing for the path"),
    "variable_repeated": (
        get("repeated string thing = 1;", "/v1/CASE/{thing}"), METHOD, "thing is repeated"),
    "variable_message": (
        get("google.protobuf.Timestamp thing = 1;", "/v1/CASE/{thing}"), METHOD,
        "thing is a message"),
    "variable_twice": (
        get("string thing = 1;", "/v1/CASE/{thing}/to/{thing}"), METHOD, "binds thing twice"),
    "body_unknown": (
        SmallContract(http=http('post: "/v1/CASE/things" body: "thing"')), METHOD,
        "no field thing for the body"),
    "body_scalar": (
        SmallContract(
            http=http('post: "/v1/CASE/things" body: "thing"'), fields="string thing = 1;"),
        METHOD, "thing is not one message"),
    "response_body": (
        SmallContract(http=http('post: "/v1/CASE/x" body: "*" response_body: "thing"')), METHOD,
        "response_body"),
    "response_body_in_another_binding": (
        SmallContract(http=http(
            'post: "/v1/CASE/x" body: "*" '
            'additional_bindings: {put: "/v1/CASE/x" body: "*" response_body: "thing"}')),
        METHOD, "response_body"),
    "template_in_another_binding": (
        SmallContract(http=http(
            'post: "/v1/CASE/x" body: "*" additional_bindings: {put: "x" body: "*"}')),
        METHOD, "`/` is wanted"),
    "mapped_stream_of_requests": (
        SmallContract(
            takes="stream ", answers="stream ",
            policy="access: ACCESS_USER repeat: REPEAT_NATURAL"),
        METHOD, "cannot stream requests"),
    "stream_that_cannot_end": (stream(says=""), METHOD, "says how it ends"),
    "stream_without_heartbeat": (
        stream("oneof event { string news = 1; Ended ended = 2; }"), METHOD, "says how it ends"),
    "stream_whose_end_is_no_event": (
        stream("Beat heartbeat = 1; Ended ended = 2;"), METHOD, "says how it ends"),
    "stream_whose_end_has_no_error": (
        stream(end="End reason = 1; string error = 2;"), METHOD, "says how it ends"),
    "stream_whose_end_has_no_reasons": (
        stream(values="END_FAILED = 2;"), METHOD, "says how it ends"),
    "cached_change": (told(f"{USER} cache: {{}}"), METHOD, "only what GET reads"),
    "cached_stream": (
        replace(stream(), policy="access: ACCESS_USER repeat: REPEAT_READ cache: {}"),
        METHOD, "only what GET reads"),
    "cached_by_grpc_alone": (
        SmallContract(http="", policy=f"{READ} cache: {{}}"), METHOD, "only what GET reads"),
    "shared_with_signed_in": (
        replace(get(""), policy=f"{READ} cache: {{max_age_s: 1 shared: true}}"),
        METHOD, "its method is public"),
    "cached_too_long": (
        replace(get(""), policy=f"{READ} cache: {{max_age_s: 86401}}"), METHOD, "at most 86400"),
    "tagged_and_not_cached": (
        replace(get(""), policy=READ, says="Thing thing = 1;",
                more="message Thing { string etag = 1; }"),
        METHOD, "needs a cache"),
    "mapped_internal_method": (
        told('access: ACCESS_SERVICE callers: "*" timeout_ms: 1 repeat: REPEAT_NATURAL'),
        METHOD, "only services may call"),
    "map_in_a_query": (
        get("map<string, string> labels = 1;"), METHOD, "the map labels cannot"),
    "map_in_a_delete": (
        SmallContract(
            http=http('delete: "/v1/CASE/things"'), fields="map<string, string> labels = 1;"),
        METHOD, "the map labels cannot"),
    "repeated_message_in_a_query": (
        get("repeated google.protobuf.Timestamp times = 1;"), METHOD, "repeated message times"),
    "map_below_a_query": (
        replace(get("Thing thing = 1;"), more="message Thing { map<string, string> labels = 1; }"),
        METHOD, "the map thing.labels cannot"),
    "struct_in_a_query": (
        get("google.protobuf.Struct thing = 1;"), METHOD, "thing, a google.protobuf.Struct"),
    "endless_message_in_a_query": (
        replace(get("Thing thing = 1;"), more="message Thing { Thing inner = 1; }"),
        METHOD, "thing.inner, a palestra.endless_message_in_a_query.v1.Thing"),
    "repeated_message_beside_a_body": (
        SmallContract(
            http=http('post: "/v1/CASE/things" body: "thing"'),
            fields="Thing thing = 1; repeated Thing others = 2;",
            more="message Thing { string title = 1; }"),
        METHOD, "repeated message others"),
    "password_bare": (
        SmallContract(fields="string new_password = 1;"),
        "DoThingRequest.new_password", "needs a personal class"),
    "token_bare": (
        SmallContract(fields="string access_token = 1;"),
        "DoThingRequest.access_token", "needs a personal class"),
    "email_bare": (
        SmallContract(fields="string email = 1;"),
        "DoThingRequest.email", "needs a personal class"),
    "phone_bare": (
        SmallContract(fields="string phone_number = 1;"),
        "DoThingRequest.phone_number", "needs a personal class"),
    "latitude_bare": (
        SmallContract(fields="double latitude_deg = 1;"),
        "DoThingRequest.latitude_deg", "needs a personal class"),
    "longitude_bare": (
        SmallContract(more="message Place { message Point { optional double longitude = 1; } }"),
        "Place.Point.longitude", "needs a personal class"),
    "contact_in_an_event": (
        SmallContract(
            file="events.proto", more="message Told { string address = 1 "
            "[(palestra.mesh.v1.personal) = PERSONAL_CLASS_CONTACT]; }"),
        "Told.address", "a way to reach a person never travels"),
    "secret_below_an_event": (
        SmallContract(
            file="events.proto", more="message Told { repeated Key keys = 1; } message Key { "
            "bytes value = 1 [(palestra.mesh.v1.personal) = PERSONAL_CLASS_SECRET]; }"),
        "Key.value", "a secret never travels"),
    "token_in_an_event": (
        SmallContract(
            file="events.proto", more="message Told { string key = 1 "
            "[(palestra.mesh.v1.personal) = PERSONAL_CLASS_TOKEN]; }"),
        "Told.key", "a token never travels"),
}  # fmt: skip
SECOND = """
message DoOtherRequest { string name = 1; string parent = 2; }
message DoOtherResponse {}
service OtherService {
  rpc DoOther(DoOtherRequest) returns (DoOtherResponse) {
    option (google.api.http) = {OTHER};
    option (palestra.mesh.v1.policy) = {
      access: ACCESS_USER timeout_ms: 1 repeat: REPEAT_NATURAL owner: "OWNER" others: OTHERS_DENY};
  }
}"""


def two(first: str, second: str, owner: str) -> Case:
    """Two methods; the second one's path is the first one's too."""
    more = SECOND.replace("OTHER}", f"{second}}}").replace("OWNER", owner)
    whole = SmallContract(http=http(first), policy=OWNED, fields=NAME, more=more)
    return whole, "OtherService.DoOther", "is the same as a path of ThingService.DoThing"


BROKEN |= {
    "same_path": two('get: "/v1/CASE/{name=users/*}"', 'get: "/v1/CASE/{name=users/*}"', "name"),
    "same_path_other_field": two(
        'get: "/v1/CASE/{name=users/*}"', 'get: "/v1/CASE/{parent=users/*}"', "parent"
    ),
    "same_path_in_another_binding": two(
        'get: "/v1/CASE/{name=users/*}"',
        'get: "/v1/CASE/{name=users/*}/x" additional_bindings: {get: "/v1/CASE/users/{parent}"}',
        "name",
    ),
}
# What must not be refused, near to what must.
SOUND: dict[str, SmallContract] = {
    "whole": WHOLE,
    "stream": stream(),
    "cached": replace(get(""), policy=f"{READ} cache: {{max_age_s: 60}}"),
    "cached_for_all": replace(
        get(""), policy=f"access: ACCESS_PUBLIC timeout_ms: 1 repeat: REPEAT_READ {BY_ADDRESS} "
        "cache: {max_age_s: 86400 shared: true}"),
    "tagged_and_cached": replace(
        get(""), policy=f"{READ} cache: {{}}", says="Thing thing = 1;",
        more="message Thing { string etag = 1; }"),
    "internal": SmallContract(
        http="", policy='access: ACCESS_SERVICE callers: ["identity", "edge"] timeout_ms: 60000 '
        "repeat: REPEAT_NATURAL"),
    "keyed": told(
        "access: ACCESS_USER timeout_ms: 1 repeat: REPEAT_KEYED", "string request_id = 1;"),
    "others_role": told(
        f'{USER} owner: "name" others: OTHERS_ROLE others_role: "coach" '
        'limit: {requests: 1 window_s: 1 key: LIMIT_KEY_USER} errors: "BROKEN"', NAME),
    "not_a_persons": get(NAME, "/v1/CASE/{name=groups/*}"),
    "queries": get(
        "repeated string channels = 1; google.protobuf.FieldMask mask = 2; Day day = 3; "
        "google.protobuf.Timestamp time = 4;"),
    "other_verb_same_path": SmallContract(http=http(
        'get: "/v1/CASE/x" additional_bindings: {delete: "/v1/CASE/x"}')),
    "no_secrets": SmallContract(
        fields="string page_token = 1; string next_page_token = 2; string sync_token = 3; "
        "bool email_verified = 4; string tokenizer = 5; "
        "string access_token = 6 [(palestra.mesh.v1.personal) = PERSONAL_CLASS_SECRET];"),
    "tokens_at_one_edge": SmallContract(
        policy=f"access: ACCESS_PUBLIC timeout_ms: 1 repeat: REPEAT_SECRET {BY_ADDRESS}",
        fields="string key = 1 [(palestra.mesh.v1.personal) = PERSONAL_CLASS_TOKEN];"),
    "events": SmallContract(
        file="events.proto", more="message Told { string who = 1 "
        "[(palestra.mesh.v1.personal) = PERSONAL_CLASS_IDENTIFIER]; }"),
}  # fmt: skip
SOUND["queries"] = replace(SOUND["queries"], more="message Day { int32 year = 1; }")


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Finding]]:
    """The findings about all the small contracts, by file."""
    contracts = {name: case[0] for name, case in BROKEN.items()} | {
        f"sound_{name}": each for name, each in SOUND.items()
    }
    files = compile_all(contracts, tmp_path_factory.mktemp("protos"))
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in contract.check(files):
        found[finding.file].append(finding)
    return found


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_refused_by_file_and_method(
    name: str, findings: dict[str, list[Finding]]
) -> None:
    broken, subject, words = BROKEN[name]
    found = findings[broken.path(name)]
    assert [finding.method for finding in found] == [subject], found
    assert words in found[0].message
    assert str(found[0]).startswith(f"palestra/{name}/v1/{broken.file}: {subject}: ")


@pytest.mark.parametrize("name", SOUND)
def test_what_keeps_the_rules_is_not_refused(name: str, findings: dict[str, list[Finding]]) -> None:
    assert findings[SOUND[name].path(f"sound_{name}")] == []


def test_the_real_contract_and_what_its_rules_raise_are_without_fault() -> None:
    files = policy.files_of(protos.DESCRIPTOR_SET.read_bytes())
    assert len(files) > 10
    assert contract.check(files, contract.SERVICES) == []


def raising(folder: Path, path: str, text: str) -> list[Finding]:
    file = folder / "services" / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    files = policy.files_of(protos.DESCRIPTOR_SET.read_bytes())
    return contract.check(files, folder / "services")


@pytest.mark.parametrize("path", ["identity/auth/rules.py", "identity/auth/rules/deep/errors.py"])
def test_a_rule_that_raises_a_reason_of_no_contract_is_refused(tmp_path: Path, path: str) -> None:
    text = 'class Gone(Exception):\n    reason: ClassVar[str] = "ACTIVITY_NOT_FOUND"\n'
    found = raising(tmp_path, path, text)
    assert [(each.file, each.method) for each in found] == [(f"services/{path}", "Gone")]
    assert "ACTIVITY_NOT_FOUND" in found[0].message


def test_a_reason_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    text = 'class Gone(Exception):\n    reason = "USER_" + "NOT_FOUND"\n'
    found = raising(tmp_path, "identity/auth/rules.py", text)
    assert [each.message for each in found] == ["its reason is not a literal string"]


def test_a_rule_may_raise_its_services_reasons_and_the_meshs(tmp_path: Path) -> None:
    text = (
        "class Refusal(Exception):\n    reason: ClassVar[str]\n"
        'class Gone(Refusal):\n    reason = "USER_NOT_FOUND"\n'
        'class Changed(Refusal):\n    reason: ClassVar[str] = "ETAG_MISMATCH"\n'
    )
    assert raising(tmp_path, "identity/profiles/rules.py", text) == []


def test_a_refused_contract_ends_the_build_with_a_line_for_each_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "protos").mkdir()
    bare = SmallContract(policy=None, fields="string email = 1;")
    compile_all({"bare": bare}, tmp_path / "protos")
    monkeypatch.setattr(protos, "DESCRIPTOR_SET", tmp_path / "protos" / "contract.binpb")
    monkeypatch.setattr(contract, "SERVICES", tmp_path / "services")
    monkeypatch.setattr("sys.argv", ["contract", "--skip-envoy"])
    with pytest.raises(SystemExit) as ended:
        contract.main()
    assert ended.value.code == 1
    file = "palestra/bare/v1/thing_service.proto"
    assert capsys.readouterr().out.splitlines() == [
        f"{file}: DoThingRequest.email: a field of this name needs a personal class",
        f"{file}: ThingService.DoThing: it has no policy",
    ]


def test_the_real_contract_ends_the_build_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["contract"])
    with pytest.raises(SystemExit) as ended:
        contract.main()
    assert (ended.value.code, capsys.readouterr().out) == (0, "")
