"""`python -m scripts.openapi_lint`."""

from __future__ import annotations

import sys

from scripts.openapi_lint import LINTERS, NotThereError, lint


def main() -> None:
    """Asks every linter; ends with 1 where one finds something or cannot be had."""
    clean = True
    for linter in LINTERS:
        try:
            good, said = lint(linter)
        except NotThereError as reason:
            sys.exit(f"{linter.package} did not run: {reason}")
        print(f"{linter.package}: {'clean' if good else said}")
        clean = clean and good
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
