#!/bin/sh
# Stores a value with a scan in ThreadFix 2.7.1 or later: add-metadata.sh SCAN_ID TITLE VALUE
# An administrator defines the titles. Expects THREADFIX_URL and THREADFIX_API_KEY in the environment.
set -eu

# The key comes from standard input: every user of this machine could read it in the arguments.
printf 'Authorization: APIKEY %s\n' "$THREADFIX_API_KEY" |
    curl --header @- --header 'Accept: application/json' --fail --silent --show-error --max-time 60 \
        --data-urlencode "title=$2" --data-urlencode "description=$3" \
        "${THREADFIX_URL%/}/rest/latest/scans/$1/metadata/new" |
    jq --exit-status .success >/dev/null # ThreadFix refuses with HTTP 200, which is a success for curl.
