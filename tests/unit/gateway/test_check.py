"""A real Envoy judges the contract."""

from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from gateway.check import EnvoyRefusedError, validate_with_envoy
from gateway.routes import RouteError
from mesh import policy


def changed(target: Path, **fields: str) -> Path:
    """The contract with other words in GetProfile's mapping."""
    files = descriptor_pb2.FileDescriptorSet.FromString(policy.DESCRIPTOR_SET.read_bytes())
    methods = (each for file in files.file for svc in file.service for each in svc.method)
    method = next(each for each in methods if each.name == "GetProfile")
    rule = method.options.Extensions[annotations_pb2.http]
    for name, value in fields.items():
        setattr(rule, name, value)
    path = target / "contract.binpb"
    path.write_bytes(files.SerializeToString())
    return path


def test_envoy_takes_the_contract() -> None:
    validate_with_envoy(policy.DESCRIPTOR_SET)


def test_a_mapping_that_only_envoy_can_judge_is_refused_with_its_method(tmp_path: Path) -> None:
    with pytest.raises(EnvoyRefusedError, match=r"GetProfile"):
        validate_with_envoy(changed(tmp_path, response_body="profile"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"get": "/v1/{nobody=users/*}"}, "GetProfile.*'nobody'"),
        ({"get": "/v1/{name.part=users/*}"}, "GetProfile.*'name'"),
        ({"get": "/v1/{name=users/*}/{name=x/*}"}, "GetProfile.*twice"),
        ({"post": "/v1/{name=users/*}:x", "body": "nothing"}, "GetProfile.*'nothing'"),
    ],
)
def test_a_field_that_is_not_there_is_refused_with_its_method(
    tmp_path: Path, fields: dict[str, str], words: str
) -> None:
    """Envoy itself would notice at the first request only."""
    with pytest.raises(RouteError, match=words):
        validate_with_envoy(changed(tmp_path, **fields))


def test_a_path_that_is_taken_is_refused_before_envoy_is_asked(tmp_path: Path) -> None:
    with pytest.raises(RouteError, match="ListDevices"):
        validate_with_envoy(changed(tmp_path, get="/v1/{name=users/*}/devices"))
