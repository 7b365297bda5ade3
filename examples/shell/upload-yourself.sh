#!/bin/sh
# Uploads a scan's results with curl, and lets the gate wait for the result.
# Expects THREADFIX_URL, THREADFIX_APPLICATION_ID and THREADFIX_API_KEY in the environment.
set -eu

# Otherwise, after a failed upload, the gate would read an earlier response and wait for an earlier scan.
rm -f upload.json
# The key comes from standard input: every user of this machine could read it in the arguments.
printf 'Authorization: APIKEY %s\n' "$THREADFIX_API_KEY" |
    curl --header @- --header 'Accept: application/json' --form "file=@$1" --output upload.json \
        --fail-with-body --silent --show-error --max-time 600 \
        "${THREADFIX_URL%/}/rest/latest/applications/$THREADFIX_APPLICATION_ID/upload" ||
    test -s upload.json # a refusal with HTTP 500 has its reason in the response

# ThreadFix also refuses with HTTP 200, which is a success for curl.
if ! jq --exit-status '.success == true' upload.json >/dev/null; then
    jq --raw-output '"ThreadFix refused the upload: \(.message)"' upload.json >&2
    exit 1
fi

threadfix-gate run --upload-response upload.json
