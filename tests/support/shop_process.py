"""`python -m tests.support.shop_process PORT KEY_FILE`: a real OpenID Connect provider.

It is oidc-provider-mock as it comes. Only its signing key is written down for the tests: it
has no back-channel logout of its own, so that they sign logout tokens in its name.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> None:
    """Serves until it is ended."""
    port, key_file = int(sys.argv[1]), Path(sys.argv[2])
    import werkzeug.serving
    from oidc_provider_mock import _app

    made: Any = _app.Storage.__init__

    def told(storage: Any) -> None:
        made(storage)
        key_file.write_text(json.dumps(storage.jwk.as_dict(is_private=True)))

    _app.Storage.__init__ = told
    app = _app.app(require_nonce=True)
    turn = threading.Lock()

    def in_turn(environ: Any, start_response: Any) -> list[bytes]:
        # What it keeps is not made for two requests at the same instant; its connections are.
        with turn:
            return list(app(environ, start_response))

    werkzeug.serving.make_server("127.0.0.1", port, in_turn, threaded=True).serve_forever()


if __name__ == "__main__":
    main()
