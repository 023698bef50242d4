#!/usr/bin/env bash
# first_notification.sh EMAIL:PASSWORD: as an administrator of the installation on this machine, send one mail
# and see it arrive in the mailbox (Mailpit, or the one of `carillon up`).
set -euo pipefail

api=${CARILLON_URL:-http://127.0.0.1:8000}/api/v1
mailbox=${MAILBOX_URL:-http://127.0.0.1:8025}
account=$1
address="first-$(date +%s)@example.com"
code="first-$(date +%s)"

token=$(curl --fail-with-body --silent "$api/auth/token" \
  --data-urlencode "username=${account%%:*}" --data-urlencode "password=${account#*:}" | jq --raw-output .access_token)

post() { # post PATH [BODY]
  curl --fail-with-body --silent --request POST "$api/$1" --header "Authorization: Bearer $token" \
    ${2:+--header "Content-Type: application/json" --data "$2"}
}

user_id=$(post users "{\"name\": \"Ann Example\", \"email\": \"$address\"}" | jq --raw-output .id)
post templates "{\"code\": \"$code\", \"name\": \"First\", \"notification_type\": \"email\", \"language\": \"en\",
  \"subject\": \"Hello {{ name }}\", \"body\": \"<p>Hello {{ name }}</p>\"}" > /dev/null
post "templates/$code/versions/1/publish" > /dev/null
id=$(post notifications "{\"user_id\": \"$user_id\", \"notification_type\": \"email\", \"template_code\": \"$code\",
  \"variables\": {\"name\": \"Ann\"}}" | jq --raw-output .id)

for _ in $(seq 60); do
  status=$(curl --fail-with-body --silent "$api/notifications/$id" --header "Authorization: Bearer $token" |
    jq --raw-output .status)
  [[ $status == sent ]] && break
  sleep 1
done
found=$(curl --fail-with-body --silent --get "$mailbox/api/v1/search" --data-urlencode "query=to:$address" |
  jq '.messages | length')
echo "$id is $status; $found in the mailbox."
[[ $status == sent && $found == 1 ]]
