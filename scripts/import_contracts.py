"""A contract for import-linter: these modules import only what is listed.

A list of what is forbidden forgets the next library; a list of what is allowed
does not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.helpers import module_expressions_to_modules


class ImportsOnly(Contract):
    """Each of `source_modules` imports the standard library and `allowed_modules` only.

    Both take wildcards and stand for packages with all that is in them. Libraries go by
    their top-level names. Only direct imports count.
    """

    type_name = "imports_only"

    source_modules = fields.SetField(subfield=fields.ModuleExpressionField())
    allowed_modules = fields.SetField(subfield=fields.ModuleExpressionField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: FBT001
        """Compares each import with the list."""
        del verbose
        sources = _packages(graph, self.source_modules)
        if not sources:
            raise ValueError("the source modules match nothing, so nothing would be checked")
        allowed = _packages(graph, self.allowed_modules)
        refused = sorted(
            (module, imported)
            for module in sources
            for imported in graph.find_modules_directly_imported_by(module)
            if imported.split(".")[0] not in sys.stdlib_module_names and imported not in allowed
        )
        return ContractCheck(kept=not refused, metadata={"refused": refused})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Says which module imports what it may not."""
        for module, imported in check.metadata["refused"]:
            output.print_error(f"{module} may not import {imported}")


def _packages(graph: ImportGraph, expressions: Any) -> set[str]:
    """The modules that the expressions match, and all below them."""
    found: set[str] = set()
    for module in _matched(graph, expressions):
        found.add(module)
        if module in graph.modules and not graph.is_module_squashed(module):
            found |= graph.find_descendants(module)
    return found


def _matched(graph: ImportGraph, expressions: Any) -> Iterable[str]:
    return (module.name for module in module_expressions_to_modules(graph, expressions))
