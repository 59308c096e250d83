"""The supervisor as a background process: its one word to whoever started it, and its last ones.

Owns the far end of `launch`'s pipe. Decides nothing else.
"""

from __future__ import annotations

import json
import traceback
from contextlib import suppress
from typing import TextIO

from mesh.local import launch
from mesh.local.errors import StackError
from mesh.local.places import Places
from mesh.local.plan import Options


def run(options: Options, pipe: TextIO) -> int:
    """Supervises until stopped; gives the exit status.

    `pipe` gets `{"ready": true}` when all is SERVING, or `{"error": sentence}`.
    """

    def tell(**word: object) -> None:
        # Whoever asked may be gone; the stack then simply goes on.
        with suppress(OSError, ValueError):
            pipe.write(json.dumps(word) + "\n")
            pipe.close()

    try:
        launch.supervise(options, lambda: tell(ready=True))
    except StackError as error:
        tell(error=str(error))
        return 1
    except Exception as error:
        log = Places(options.state).log("supervisor")
        with suppress(OSError), log.open("a") as file:
            traceback.print_exc(file=file)
        tell(error=f"the supervisor failed: {error!r}; see {log}.")
        return 1
    return 0
