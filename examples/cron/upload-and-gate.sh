#!/bin/sh
# Uploads a scan's results, waits for ThreadFix, and prints something only when the verdict is not pass.
# Expects THREADFIX_URL, THREADFIX_APPLICATION_ID and THREADFIX_API_KEY_FILE in the environment.
set -eu

results=$1
answer=$(mktemp)
log=$(mktemp)
trap 'rm -f "$answer" "$log"' EXIT

{ printf 'Authorization: APIKEY '; cat "$THREADFIX_API_KEY_FILE"; } |
    curl --header @- --header 'Accept: application/json' --form "file=@$results" --output "$answer" \
        --fail-with-body --silent --show-error --max-time 600 \
        "${THREADFIX_URL%/}/rest/latest/applications/$THREADFIX_APPLICATION_ID/upload"

code=0
threadfix-gate run --upload-response "$answer" --timeout 2h 2>"$log" || code=$?
test "$code" -eq 0 || cat "$log"
exit "$code"
