"""Small contracts, compiled in one go: a whole one, and what a case breaks of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor

from mesh import policy
from scripts import protos

HTTP = 'option (google.api.http) = {post: "/v1/CASE/things" body: "*"};'
POLICY = "access: ACCESS_USER timeout_ms: 1000 repeat: REPEAT_NATURAL"
REASONS = """
enum ErrorReason {
  ERROR_REASON_UNSPECIFIED = 0;
  ERROR_REASON_BROKEN = 1 [(palestra.mesh.v1.error) = {code: ABORTED en: "Broken." ru: "Сломано."}];
}"""


@dataclass(frozen=True, slots=True)
class SmallContract:
    """`ThingService.DoThing` and what belongs to it. As it stands it is without fault."""

    http: str = HTTP
    """The method's mapping, as an option; `CASE` stands for the contract's own name."""
    policy: str | None = POLICY
    """The fields of the method's policy; None for no policy."""
    fields: str = ""
    """The request's fields."""
    says: str = ""
    """The answer's fields."""
    more: str = ""
    """Other messages and services."""
    reasons: str = REASONS
    takes: str = ""
    """`stream ` where requests are streamed."""
    answers: str = ""
    """`stream ` where answers are streamed."""
    file: str = "thing_service.proto"

    def text(self, name: str) -> str:
        """The .proto file of the contract called `name`."""
        told = f"option (palestra.mesh.v1.policy) = {{{self.policy}}};" if self.policy else ""
        return f"""
            syntax = "proto3";
            package palestra.{name}.v1;
            import "buf/validate/validate.proto";
            import "google/api/annotations.proto";
            import "google/protobuf/field_mask.proto";
            import "google/protobuf/struct.proto";
            import "google/protobuf/timestamp.proto";
            import "google/rpc/status.proto";
            import "palestra/mesh/v1/policy.proto";
            service ThingService {{
              rpc DoThing({self.takes}DoThingRequest) returns ({self.answers}DoThingResponse) {{
                {self.http.replace("CASE", name)}
                {told}
              }}
            }}
            message DoThingRequest {{ {self.fields} }}
            message DoThingResponse {{ {self.says} }}
            {self.more.replace("CASE", name)}
            {self.reasons}
        """

    def path(self, name: str) -> str:
        """Where protoc finds it."""
        return f"palestra/{name}/v1/{self.file}"


def compile_all(contracts: Mapping[str, SmallContract], folder: Path) -> list[FileDescriptor]:
    """Compiles contracts by name, in one run of protoc, beside the real mesh contract."""
    shutil.copytree(protos.PROTOS / "palestra" / "mesh", folder / "palestra" / "mesh")
    for name, contract in contracts.items():
        path = folder / contract.path(name)
        path.parent.mkdir(parents=True)
        path.write_text(contract.text(name))
    target = folder / "contract.binpb"
    protos.compile_descriptors(folder, protos.GENERATED / "validate.binpb", target)
    return policy.files_of(target.read_bytes())
