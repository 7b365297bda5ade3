#!/bin/sh
# Uploads a scan's results, waits for ThreadFix, and prints something only when the verdict is not pass.
# Expects THREADFIX_URL, THREADFIX_APPLICATION_ID and THREADFIX_API_KEY_FILE in the environment.
# Run it as a user that runs nothing of the code under test.
set -eu
umask 077

results=$1

# The lock is in a folder of this user alone: in /tmp or /run/lock anybody could hold it.
state=${XDG_STATE_HOME:-$HOME/.local/state}/threadfix-gate
mkdir -p "$state"
chmod 700 "$state"
exec 9>"$state/lock"
if ! flock --nonblock 9; then
    echo "An earlier run is still waiting; nothing was uploaded."
    exit 75
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

{ printf 'Authorization: APIKEY '; cat "$THREADFIX_API_KEY_FILE"; } |
    curl --header @- --header 'Accept: application/json' --form "file=@$results" --output "$work/upload.json" \
        --fail-with-body --silent --show-error --max-time 600 \
        "${THREADFIX_URL%/}/rest/latest/applications/$THREADFIX_APPLICATION_ID/upload"

code=0
threadfix-gate run --upload-response "$work/upload.json" --timeout 2h 2>"$work/log" || code=$?
test "$code" -eq 0 || cat "$work/log"
exit "$code"
