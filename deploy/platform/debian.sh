#!/usr/bin/env bash
# Installs the Debian packages whose programs the tests start. Only the programs: no service of theirs is started or enabled.
set -euo pipefail
cd "$(dirname "$0")/../.."

log="${FOOTLIGHTS_HOME:-.footlights}/logs/debian.log"
mkdir -p "$(dirname "$log")"
: >"$log"
mapfile -t wanted < deploy/platform/debian-packages.txt
missing=()
for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>>"$log" | grep -q 'install ok installed' || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    printf 'Tests that need these programs will be skipped: %s\nRemedy: as root, apt-get install %s\n' "${missing[*]}" "${missing[*]}" >&2
    exit 0
fi

# Debian asks this file before it starts the service of a package that it installs.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
printf 'Installing what the tests start: %s ...\n' "${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >>"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    printf 'The packages could not be installed: %s\nRemedy: as root, apt-get install %s\n' "${missing[*]}" "${missing[*]}" >&2
    exit 1
}
