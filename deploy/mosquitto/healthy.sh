#!/bin/sh
# Connects as a client does, by TLS and with a password, and waits for the broker's uptime, which is always there.
exec mosquitto_sub -h localhost -p 8884 --cafile /mosquitto/certificates/ca.crt -u health -P "$(cat /mosquitto/data/health-password)" \
  -t '$SYS/broker/uptime' -C 1 -W 5
