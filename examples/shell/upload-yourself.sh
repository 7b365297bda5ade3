#!/bin/sh
# Uploads a scan's results with curl, and lets the gate wait for what ThreadFix has made of them.
# Expects THREADFIX_URL, THREADFIX_APPLICATION_ID and THREADFIX_API_KEY in the environment.
set -eu

# Else a failed upload would leave the response of an earlier one, and the gate would wait for that one's scan.
rm -f upload.json
# The key goes in through standard input: in the arguments everybody on this machine could read it.
printf 'Authorization: APIKEY %s\n' "$THREADFIX_API_KEY" |
    curl --header @- --header 'Accept: application/json' --form "file=@$1" --output upload.json \
        --fail-with-body --silent --show-error --max-time 600 \
        "${THREADFIX_URL%/}/rest/latest/applications/$THREADFIX_APPLICATION_ID/upload"

# ThreadFix refuses with HTTP 200, which curl takes for a success.
if ! jq --exit-status '.success == true' upload.json >/dev/null; then
    jq --raw-output '"ThreadFix refused the upload: \(.message)"' upload.json >&2
    exit 1
fi

threadfix-gate run --upload-response upload.json
