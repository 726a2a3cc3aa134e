#!/bin/bash
# Runs once, when the volume is new: a database for each service with its three roles.
# The passwords are for development; a server that others can reach gets its own by POSTGRES_ROLE_SECRET.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for service in gateway orders ticketing crm notifications reporting; do
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        --set service="$service" --set secret="${POSTGRES_ROLE_SECRET:-development-only}" \
        --file "$here/service.sql.in"
done

# Reads the figures that alerts are built from, and no table.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set password="${POSTGRES_ROLE_SECRET:-development-only}-monitor" <<'SQL'
CREATE ROLE footlights_monitor LOGIN PASSWORD :'password' IN ROLE pg_monitor;
SQL
