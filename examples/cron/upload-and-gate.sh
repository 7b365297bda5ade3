#!/bin/sh
# Uploads a scan's results, waits for ThreadFix, and prints its log only if the verdict is not pass.
# Expects THREADFIX_URL, THREADFIX_APPLICATION_ID and THREADFIX_API_KEY_FILE in the environment.
# Run it as a user that runs nothing of the code under test.
set -eu
umask 077

results=$1

# The lock is in a private folder: in /tmp or /run/lock, any user could hold it.
state=${XDG_STATE_HOME:-$HOME/.local/state}/threadfix-gate
mkdir -p "$state"
chmod 700 "$state"
exec 9>"$state/lock"
if ! flock --nonblock 9; then
    echo "An earlier run is still waiting; nothing was uploaded."
    exit 75
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

code=0
python3 -I /opt/threadfix-gate/threadfix-gate.pyz run --scan-file "$results" --timeout 2h 2>"$log" || code=$?
test "$code" -eq 0 || cat "$log"
exit "$code"
