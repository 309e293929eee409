#!/bin/sh
# Temporal's tables, made or brought up to date: what is there already is left as it is, so this may run at every start.
# SQL_HOST, SQL_PORT, SQL_USER, SQL_PASSWORD and SQL_PLUGIN are read by the tool itself. The databases exist by now.
set -eu

for each in temporal:temporal temporal_visibility:visibility; do
  database=${each%%:*} schema=${each##*:}
  temporal-sql-tool --database "$database" setup-schema --version 0.0
  temporal-sql-tool --database "$database" update-schema --schema-name "postgresql/v12/$schema"
done
