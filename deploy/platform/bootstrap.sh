#!/usr/bin/env bash
# Makes .venv from requirements.lock, hashes checked. Says one line, and everything if it fails.
set -euo pipefail
cd "$(dirname "$0")/../.."

log="${FOOTLIGHTS_HOME:-.footlights}/logs/environment.log"
mkdir -p "$(dirname "$log")"

fail() {
    printf '%s\n' "The Python environment could not be made: $1" >&2
    [ -s "$log" ] && { tail -n 15 "$log" >&2; printf 'Whole log: %s\n' "$log" >&2; }
    printf 'Remedy: %s\n' "$2" >&2
    exit 1
}

find_python() {
    for candidate in "${PYTHON3:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# The lock pins uv too; pip installs that one, and uv the rest, which is many times faster.
installer_from_lock() {
    awk '/^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' requirements.lock
}

install_with_uv() {
    local pinned
    pinned="$(mktemp)"
    installer_from_lock >"$pinned"
    .venv/bin/python -m uv --version >>"$log" 2>&1 ||
        .venv/bin/python -m pip install -q --require-hashes -r "$pinned" >>"$log" 2>&1 || { rm -f "$pinned"; return 1; }
    rm -f "$pinned"
    # uv does not read pip's settings: hand over the ones that say where packages come from.
    UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}" \
        SSL_CERT_FILE="${SSL_CERT_FILE:-${PIP_CERT:-}}" UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}" \
        .venv/bin/python -m uv pip install -q --python .venv/bin/python --require-hashes --compile-bytecode \
        -r requirements.lock >>"$log" 2>&1
}

install_with_pip() {
    .venv/bin/python -m pip install -q --require-hashes -r requirements.lock >>"$log" 2>&1
}

: >"$log"
printf 'Making the Python environment from requirements.lock (a minute or two, once) ...\n'
python="$(find_python)" || fail "no Python 3.11 or later was found" "install one (Debian: apt install python3 python3-venv), or name it: PYTHON3=/path/to/python3 make up"
if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv >>"$log" 2>&1 || fail "$python -m venv failed" "install its venv module (Debian: apt install python3-venv)"
fi
install_with_uv || install_with_pip || fail "packages could not be installed" "is the package index reachable?"
ln -sf ../../bin/footlights .venv/bin/footlights
touch .venv/.ready
