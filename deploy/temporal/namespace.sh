#!/bin/sh
# Drumbeat's namespace with its retention, made or brought up to date. The CLI reads TEMPORAL_ADDRESS
# by itself. A server that has just opened its port refuses for a while, so this tries again.
set -eu

tries=0
until temporal operator cluster health >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge 60 ]; then
    echo "Temporal at $TEMPORAL_ADDRESS did not become healthy; see its log: docker compose logs temporal" >&2
    exit 1
  fi
  sleep 1
done

# Named each time: these commands do not read TEMPORAL_NAMESPACE.
if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"
else
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"
fi
