"""One process of the peer: `python -m tests.load.peer FILE`; FILE is its settings as JSON."""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from typing import Any

import uvicorn

from mesh.runtime.tokens import AUDIENCE, ISSUER
from tests.load.peer import orm, tuned
from tests.load.peer.tokens import Tokens

FORMS = {"tuned": tuned.app, "orm": orm.app}


def main(path: str) -> None:
    """Serves until it is told to stop.

    Settings: `form`, `database_url`, `jwks`, and either `port` of 127.0.0.1 or `socket` with
    `certificate`, `key` and `ca`, where who calls must show a certificate of that authority.
    """
    told: dict[str, Any] = json.loads(Path(path).read_text())
    made = FORMS[told["form"]](told["database_url"], Tokens(told["jwks"], AUDIENCE, ISSUER))
    where: dict[str, Any] = {"port": told["port"]}
    if told.get("socket"):
        where = {
            "uds": told["socket"],
            "ssl_certfile": told["certificate"],
            "ssl_keyfile": told["key"],
            "ssl_ca_certs": told["ca"],
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }
    uvicorn.run(
        made,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        **where,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
