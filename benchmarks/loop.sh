#!/usr/bin/env bash
# A careful loop with curl and jq: it ends on each documented final status, survives errors, and has a limit.
# TRIES polls, 1 s apart; the URL of the pending scan and the key come from the environment.
set -euo pipefail
for ((try = 1; try <= ${TRIES:-60}; try++)); do
  if body=$(curl --silent --fail --max-time 30 --header "Authorization: APIKEY $KEY" --header 'Accept: application/json' "$SCAN_URL"); then
    status=$(jq --raw-output '.object.status // empty' <<<"$body" 2>/dev/null) || status=''
    case $status in
      DONE | FINISHED_FINDING_PULLING) exit 0 ;;
      SCAN_INTERRUPTED | SCAN_DELETED) exit 1 ;;
    esac
  fi
  sleep 1
done
exit 1
