#!/bin/sh
# The tour of the README: an account, a destination, an event, and what became of it.
#
# Needs a running server and a receiver:
#   cargo run --release -- serve --dev
#   rustc -O --edition 2024 examples/receiver.rs -o target/receiver && target/receiver
# A server without --dev asks for its admin token: ADMIN_TOKEN=$(cat data-pusher.db.admin-token) examples/quickstart.sh
set -eu

server=${SERVER:-http://127.0.0.1:8080}
receiver=${RECEIVER:-http://127.0.0.1:9000}

# Headers with tokens are in files that only this user can read. In the command line of curl, other users could see them.
headers=$(mktemp -d)
trap 'rm -r "$headers"' EXIT
echo "Authorization: Bearer ${ADMIN_TOKEN:-}" >"$headers/admin"

# One field of a JSON answer. Enough for ids and tokens; use jq for anything more.
field() {
  sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# What the server answers, on standard output; an error is shown and ends the tour.
request() {
  answer=$(curl --silent --show-error --fail-with-body --header 'Content-Type: application/json' \
    --header @"$headers/admin" "$@") || {
    echo "error: $answer" >&2
    return 1
  }
  echo "$answer"
}

echo "An account; its token is shown this one time."
account=$(request "$server/v1/accounts" --data "{\"email\": \"ada-$$@example.com\", \"account_name\": \"Ada\"}")
echo "$account"
account_id=$(echo "$account" | field account_id)
echo "CL-XTOKEN: $(echo "$account" | field app_secret_token)" >"$headers/account"

echo "A destination."
request "$server/v1/accounts/$account_id/destinations" \
  --data "{\"url\": \"$receiver/crm\", \"http_method\": \"POST\", \"headers\": {\"X-Source\": \"quickstart\"}}"
echo

echo "An event; the answer waits for the first attempt, at most 5 seconds."
event=$(request "$server/server/incoming_data" --header @"$headers/account" --header 'Prefer: wait=5' \
  --data '{"order": 1001, "total": 19.90, "items": ["tea", "cups"]}')
echo "$event"
delivery_id=$(echo "$event" | sed -n 's/.*"delivery_id":"\([^"]*\)".*/\1/p')

echo "The delivery and its attempts."
request "$server/v1/deliveries/$delivery_id"
echo
