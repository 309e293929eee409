#!/bin/sh
# The MQTT broker's certificate, from a small authority of our own: deploy/certificates.sh mqtt.example.com
#
# Give every name or address by which devices reach the broker. Devices need ca.crt, and nothing else of what is made.
# Run it again to renew the broker's certificate; the authority stays (10 years), so devices notice nothing. Then:
# docker compose restart mosquitto. Needs openssl 1.1.1 or later.
#
# The folder is closed to all others on this machine. That keeps the key safe, which the broker's user in the container
# must be able to read. ca.key is needed for renewals only: keep it elsewhere if you can. None of it belongs into git.
set -eu
umask 077

if [ "$#" -eq 0 ]; then
  echo "usage: deploy/certificates.sh NAME_OR_ADDRESS ..., as devices reach the broker, such as mqtt.example.com" >&2
  exit 2
fi

names=DNS:mosquitto,DNS:localhost
for each in "$@"; do
  case $each in
    *[!0-9.]*) kind=DNS ;;
    *) kind=IP ;;
  esac
  case $each in *:*) kind=IP ;; esac
  names=$names,$kind:$each
done

folder=${CERTIFICATES:-$(dirname "$0")/certificates}
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

if [ ! -e ca.key ]; then
  openssl ecparam -name prime256v1 -genkey -noout -out ca.key
  openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=Drumbeat MQTT authority" -out ca.crt
fi

making=$(mktemp -d)
trap 'rm -rf "$making"' EXIT
openssl ecparam -name prime256v1 -genkey -noout -out "$making/broker.key"
openssl req -new -key "$making/broker.key" -subj "/CN=$1" -out "$making/request"
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$names" > "$making/extensions"
openssl x509 -req -in "$making/request" -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days 730 \
  -extfile "$making/extensions" -out "$making/broker.crt"

# Written over, not replaced: a container that has mounted the files would keep the old ones.
cat "$making/broker.crt" > broker.crt
cat "$making/broker.key" > broker.key
chmod 644 ca.crt broker.crt broker.key
echo "$folder: ca.crt for devices; broker.crt and broker.key for $names"
