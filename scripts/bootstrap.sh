#!/bin/sh
# Makes .venv, installs the locked dependencies and compiles the contract.
# Does nothing where nothing changed. Needs Python 3.11, 3.12 or 3.13 only.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/.installed

usable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
        if usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null) || found="no python3 at all"
    echo "palestra: Python 3.11, 3.12 or 3.13 is needed; here is $found." \
        "Install one of them, or name it: make PYTHON=/path/to/python3.12" >&2
    exit 1
}

wanted=$(cat requirements.lock pyproject.toml scripts/bootstrap.sh | cksum)
if [ ! -x "$venv/bin/python" ] || ! usable "$venv/bin/python"; then
    python=$(find_python)
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "palestra: installing the locked dependencies" >&2
    # What is broken off here was not installed, whatever was before.
    rm -f "$stamp"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes --only-binary :all: -r requirements.lock
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation --editable .
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$PWD" "$PWD/build/gen/python" "$PWD/clients/python" "$PWD/clients/watch" \
        >"$site/palestra.pth"
    echo "$wanted" >"$stamp"
fi
"$venv/bin/python" -m scripts.protos
