#!/bin/sh
# The accounts of Drumbeat and of the health check, before the broker starts; those of devices stay as they are.
# A device's account: docker compose exec mosquitto mosquitto_passwd /mosquitto/data/accounts DEVICE
# and then:           docker compose kill --signal HUP mosquitto
set -eu
umask 077
cd /mosquitto/data

touch accounts
mosquitto_passwd -b accounts drumbeat "$MQTT_PASSWORD"
if [ ! -s health-password ]; then
  head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > health-password
  mosquitto_passwd -b accounts health "$(cat health-password)"
fi
