#!/bin/sh
# Run once, by PostgreSQL's image, when its volume is still empty: two users, each with databases of its own.
# Later changes of a password are made with ALTER ROLE (docs/operations.md).
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  --set temporal="$TEMPORAL_DATABASE_PASSWORD" --set drumbeat="$DRUMBEAT_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE temporal LOGIN PASSWORD :'temporal';
CREATE ROLE drumbeat LOGIN PASSWORD :'drumbeat';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
CREATE DATABASE drumbeat OWNER drumbeat;
REVOKE CONNECT ON DATABASE temporal, temporal_visibility, drumbeat, postgres FROM PUBLIC;
SQL
