"""Every example in the document is by the schema that it stands beside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.api_document import told, validator


def media(holder: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every example below, with its schema."""
    if isinstance(holder, list):
        for each in holder:
            yield from media(each)
    elif isinstance(holder, dict):
        if isinstance(holder.get("schema"), dict):
            if "example" in holder:
                yield holder["schema"], holder["example"]
            for each in holder.get("examples", {}).values():
                yield holder["schema"], each["value"]
        for each in holder.values():
            yield from media(each)


def test_every_example_is_by_its_schema() -> None:
    examples = list(media({key: told()[key] for key in ("paths", "components")}))
    assert len(examples) > 50
    for schema, example in examples:
        validator(schema).validate(example)


def test_the_check_would_find_a_wrong_example() -> None:
    schema, example = next(
        (schema, example) for schema, example in media(told()["paths"]) if isinstance(example, dict)
    )
    assert validator(schema).is_valid(example)
    assert not validator(schema).is_valid([example])
