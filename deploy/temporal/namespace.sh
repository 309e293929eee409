#!/bin/sh
# Drumbeat's namespace with its retention, made or brought up to date. The CLI reads TEMPORAL_ADDRESS by itself, but
# these commands do not read TEMPORAL_NAMESPACE.
set -eu

# A server that has just opened its port refuses for a while, and does not know at once of a namespace that is new.
within_a_minute() {
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
      echo "Temporal at $TEMPORAL_ADDRESS goes on refusing; see its log: docker compose logs temporal" >&2
      "$@"
      exit
    fi
    sleep 1
  done
}

within_a_minute temporal operator cluster health
temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"
within_a_minute temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"
