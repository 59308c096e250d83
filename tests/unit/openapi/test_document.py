"""The document says all of the contract that REST has, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway import downloads, routes
from gateway.openapi import needs
from gateway.openapi.source import REQUIRED, behaves, rules_of
from gateway.overrides import Overrides
from mesh import policy
from scripts import openapi, protos
from tests.support import api_document
from tests.support.api_document import resolved

DOCUMENT = api_document.told()
CONTRACT = policy.load()
VERBS = {verb.lower() for verb in routes.VERBS}
OPERATIONS = [
    (verb, path, made)
    for path, item in DOCUMENT["paths"].items()
    for verb, made in item.items()
    if verb in VERBS
]


def by_method(path: str) -> dict[str, Any]:
    """The operation of a gRPC method."""
    return next(made for _, _, made in OPERATIONS if made["x-palestra-method"] == path)


GET = by_method("/palestra.training.v1.ActivityService/GetActivity")
UPDATE = by_method("/palestra.identity.v1.ProfileService/UpdateProfile")
REGISTER = by_method("/palestra.integration.v1.DeviceService/RegisterDevice")
LOGIN = by_method("/palestra.identity.v1.AuthService/Login")
WATCH = by_method("/palestra.training.v1.ActivityService/WatchActivity")


def test_it_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_mapping_of_the_edge_is_an_operation_and_every_operation_a_mapping() -> None:
    edge = sorted(
        (route.method, route.verb.lower())
        for route in routes.derive(CONTRACT, Overrides())
        if route.pattern is not None
    )
    said = sorted((made["x-palestra-method"], verb) for verb, _, made in OPERATIONS)
    assert said == edge
    assert len(edge) > 10


def test_nothing_is_said_of_what_only_services_may_call() -> None:
    written = openapi.as_json(DOCUMENT).decode()
    for method in CONTRACT.methods.values():
        if method.policy.access == policy.SERVICE:
            assert method.descriptor.name not in written
            assert method.descriptor.input_type.name not in written


def test_operations_have_ids_of_their_own() -> None:
    ids = [made["operationId"] for _, _, made in OPERATIONS]
    assert len(ids) == len(set(ids))


def test_every_operation_and_every_group_is_explained() -> None:
    assert all(made["summary"] and made["description"] for _, _, made in OPERATIONS)
    assert all(tag["description"] for tag in DOCUMENT["tags"])


def test_each_operation_names_the_reasons_of_its_contract_in_both_languages() -> None:
    for _, _, made in OPERATIONS:
        method = CONTRACT.methods[made["x-palestra-method"]]
        told = {
            (each["domain"], each["reason"]): each
            for response in made["responses"].values()
            for each in resolved(response).get("x-palestra-reasons", ())
        }
        for reason in method.policy.errors:
            meaning = CONTRACT.meanings[method.domain, reason]
            each = told[method.domain, reason]
            assert (each["en"], each["ru"]) == (meaning.en, meaning.ru)
        # And none that the contract does not know.
        assert told.keys() <= CONTRACT.meanings.keys()


def test_refusals_stand_under_their_http_status() -> None:
    def reasons(made: dict[str, Any], status: str) -> set[str]:
        return {
            each["reason"] for each in resolved(made["responses"][status])["x-palestra-reasons"]
        }

    assert reasons(GET, "404") == {"ACTIVITY_NOT_FOUND", "METHOD_UNKNOWN"}
    assert reasons(GET, "401") == {
        "TOKEN_MISSING",
        "TOKEN_INVALID",
        "TOKEN_EXPIRED",
        "TOKEN_REVOKED",
    }
    assert {"SCOPE_MISSING", "NOT_OWNER"} <= reasons(UPDATE, "403")
    # What one may not see of another person's is as what never was.
    assert "SCOPE_MISSING" in reasons(GET, "403")
    assert "NOT_OWNER" not in reasons(GET, "403")
    assert reasons(UPDATE, "409") == {"ETAG_MISMATCH"}
    assert reasons(REGISTER, "409") == {"REQUEST_ID_REUSED"}
    assert reasons(LOGIN, "401") == {"CREDENTIALS_WRONG"}
    assert reasons(LOGIN, "403") == {"ACCOUNT_BLOCKED"}


def test_a_token_is_asked_for_with_the_scope_of_the_contract() -> None:
    assert GET["security"] == [{"bearer": ["activities.read"]}]
    assert LOGIN["security"] == []


def test_path_parameters_have_names_and_the_patterns_of_the_contract() -> None:
    assert "/v1/users/{user}/activities/{activity}:watch" in DOCUMENT["paths"]
    schemas = {p["name"]: p["schema"] for p in GET["parameters"] if p["in"] == "path"}
    assert schemas["user"]["pattern"] == "^[a-z0-9-]{1,36}$"
    assert schemas["activity"]["pattern"] == "^[a-z0-9-]{1,64}$"


def test_what_neither_path_nor_body_fills_is_a_query_parameter() -> None:
    assert [p["name"] for p in UPDATE["parameters"] if p["in"] == "query"] == ["updateMask"]
    progress = by_method("/palestra.training.v1.ProgressService/GetProgress")
    names = [p["name"] for p in progress["parameters"] if p["in"] == "query"]
    assert names == [
        "period",
        *(f"{end}Date.{part}" for end in ("start", "end") for part in ("year", "month", "day")),
        "sports",
    ]


def test_a_body_has_neither_what_the_path_fills_nor_what_the_server_writes() -> None:
    body = UPDATE["requestBody"]["content"]["application/json"]["schema"]
    told = {"displayName", "bio", "sports", "interests", "city", "visibility"}
    facts = {"birthDate", "sex", "heightCm"}
    assert set(body["properties"]) == told | facts | {"etag"}
    device = REGISTER["requestBody"]["content"]["application/json"]["schema"]
    assert "createTime" not in device["properties"]
    assert "name" not in device["properties"]
    assert device["required"] == ["displayName"]
    assert device["properties"]["displayName"]["maxLength"] == 60


def test_personal_data_says_its_class() -> None:
    body = LOGIN["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert body["email"]["x-palestra-personal"] == "CONTACT"
    assert body["password"]["x-palestra-personal"] == "SECRET"
    assert body["password"]["format"] == "password"


def test_sixty_four_bit_numbers_are_strings_and_smaller_ones_numbers() -> None:
    activity = DOCUMENT["components"]["schemas"]["Activity"]["properties"]
    assert (activity["sampleCount"]["type"], activity["sampleCount"]["format"]) == (
        "string",
        "int64",
    )
    assert activity["utcOffsetS"]["type"] == "integer"
    assert activity["startTime"]["format"] == "date-time"


def test_what_a_read_mask_can_leave_out_is_not_promised() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert "required" not in schemas["Activity"]
    assert {"name", "displayName", "bio"} <= set(schemas["Profile"]["required"])
    assert "createTime" not in schemas["Profile"]["required"]


def body_of(path: str) -> dict[str, Any]:
    """The schema of a method's body."""
    made = by_method(path)["requestBody"]["content"]["application/json"]["schema"]
    assert isinstance(made, dict)
    return made


IDENTITY = "/palestra.identity.v1"


def refusals(schema: dict[str, Any], value: object) -> list[str]:
    """What a validator of the document says of a body."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return [each.message for each in Draft202012Validator(whole).iter_errors(value)]


@pytest.mark.parametrize(
    ("contact", "passes"),
    [
        ({"email": "vera@example.com"}, True),
        ({"phone": "+79123456789"}, True),
        ({}, False),
        ({"email": "vera@example.com", "phone": "+79123456789"}, False),
    ],
)
def test_one_of_a_needed_choice_is_asked_for_and_no_second(
    contact: dict[str, str], passes: bool
) -> None:
    login = body_of(f"{IDENTITY}.AuthService/Login")
    assert (refusals(login, {"password": "secret", **contact}) == []) is passes


def test_a_choice_inside_a_message_is_asked_for_as_well() -> None:
    complete = body_of(f"{IDENTITY}.SecondStepService/CompleteLogin")
    assert refusals(complete, {"ticket": "t", "proof": {"totpCode": "123456"}}) == []
    assert refusals(complete, {"ticket": "t", "proof": {}})
    assert "anyOf" not in DOCUMENT["components"]["schemas"]["WatchActivityResponse"]


def test_a_body_of_which_one_of_a_choice_is_asked_may_not_be_left_out() -> None:
    reset = by_method(f"{IDENTITY}.AuthService/RequestPasswordReset")
    assert reset["requestBody"]["required"]


def test_an_enums_value_that_is_refused_is_left_out_where_it_is_sent_and_only_there() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    sport = schemas["PlayedSportInput"]["properties"]["sport"]
    assert sport["not"] == {"enum": ["SPORT_UNSPECIFIED", "SPORT_TRANSITION"]}
    assert "not" not in schemas["PlayedSport"]["properties"]["sport"]
    assert "SPORT_UNSPECIFIED" in schemas["Sport"]["enum"]


def test_a_large_number_that_is_a_string_has_its_bounds_as_a_pattern() -> None:
    upload = body_of(f"{IDENTITY}.ProfileService/CreateAvatarUpload")["properties"]["sizeBytes"]
    assert (upload["x-minimum"], upload["x-maximum"]) == ("0", "10485760")
    assert re.search(upload["pattern"], "10485760")
    assert not re.search(upload["pattern"], "10485761")


def test_a_patch_asks_for_what_its_message_needs() -> None:
    patch = by_method(f"{IDENTITY}.FactorService/UpdatePasskey")
    assert patch["requestBody"]["required"]
    assert body_of(f"{IDENTITY}.FactorService/UpdatePasskey")["required"] == ["displayName"]


def test_a_field_whose_zero_is_refused_is_needed_without_being_marked() -> None:
    decide = CONTRACT.methods[f"{IDENTITY}.OAuthService/DecideAuthorization"].descriptor.input_type
    field = decide.fields_by_name["decision"]
    assert not behaves(field, REQUIRED)
    assert needs.needed(rules_of(field), field)
    page = CONTRACT.methods[f"{IDENTITY}.SessionService/ListSessions"].descriptor.input_type
    size = page.fields_by_name["page_size"]
    assert not needs.needed(rules_of(size), size)


def test_a_stream_is_lines_or_events_of_one_choice() -> None:
    assert set(WATCH["responses"]["200"]["content"]) == {
        "application/x-ndjson",
        "text/event-stream",
    }
    event = DOCUMENT["components"]["schemas"]["WatchActivityResponse"]
    assert event["dependentSchemas"]["ended"] == {
        "properties": {"update": False, "heartbeat": False}
    }


def test_a_rendered_answer_has_the_schema_that_the_contract_gives() -> None:
    samples = by_method("/palestra.training.v1.ActivityService/DownloadActivityStreams")
    schema = samples["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["timeMs", "channels"]


def test_limits_and_deadlines_are_the_contracts() -> None:
    assert GET["x-palestra-policy"]["limit"] == {
        "requests": 1200,
        "windowS": 60,
        "key": "user",
        "global": False,
    }
    assert GET["x-palestra-policy"]["timeoutMs"] == 1000
    assert "timeoutMs" not in WATCH["x-palestra-policy"]


def test_kept_answers_have_a_tag_and_can_be_unchanged() -> None:
    assert "etag" in GET["responses"]["200"]["headers"]
    assert "304" in GET["responses"]
    assert "If-None-Match" in [p["name"] for p in GET["parameters"]]
    assert "If-Match" in [p["name"] for p in UPDATE["parameters"]]


def test_fields_are_called_as_in_json_in_the_words_too() -> None:
    listing = by_method("/palestra.training.v1.ActivityService/ListActivities")
    assert "`orderBy`" in listing["description"]


def test_a_body_of_which_nothing_is_asked_may_be_left_out() -> None:
    grant = DOCUMENT["paths"]["/v1/users/{user}/avatarUploads"]["post"]
    assert not grant["requestBody"]["required"]
    assert REGISTER["requestBody"]["required"]


def test_the_build_wrote_this_very_document() -> None:
    assert openapi.is_fresh()
    assert (protos.GENERATED / downloads.DOCUMENT).read_bytes() == openapi.as_json(DOCUMENT)


@pytest.mark.parametrize("word", ["x-palestra-proof", "callers", "integration.palestra/"])
def test_nothing_of_the_mesh_itself_is_told(word: str) -> None:
    assert word not in openapi.as_json(DOCUMENT).decode()
