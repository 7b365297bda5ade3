#!/usr/bin/env bash
# Starts the gate on any runner: finds a Python, lets environment.py find or make the environment, and becomes the gate.
#
# Every Python here starts isolated (-I): the working directory is a checked-out repository that anybody may have
# written, and variables such as PYTHONPATH are the job's, not the gate's. Nothing is printed where the environment is
# there already; otherwise the key is masked first.
set -eu -o pipefail

# Only the gate gets the key: pip, and whatever is tried out as a Python, is somebody else's program.
export -n THREADFIX_API_KEY

here=${BASH_SOURCE[0]%/*}
cache=${RUNNER_TOOL_CACHE:-}
# Windows gives C:\hostedtoolcache\windows, and backslashes mean something else in a pattern.
if [[ -n $cache ]] && command -v cygpath >/dev/null; then cache=$(cygpath -u "$cache"); fi

# The gate cannot say its verdict when it does not start, so what later steps and people read is written here.
stop() {
  local reason=$1 code=$2 title=$3 what=${4//[$'\r\n']/ } remedy=$5 less='&lt;'
  local message="$what $remedy"
  trap '' INT TERM
  printf '::error title=threadfix-gate: %s::%s\n' "$title" "${message//'%'/%25}" >&2
  if [[ -n ${GITHUB_OUTPUT:-} ]]; then
    printf '%s\n' verdict=unknown "reason=$reason" "exit-code=$code" "message=$message" >>"$GITHUB_OUTPUT"
  fi
  if [[ -n ${GITHUB_STEP_SUMMARY:-} ]]; then
    # Not Markdown: an index may have had its word in it.
    what=${what//</"$less"}
    printf '%s\n\n' "## ❔ ThreadFix gate: unknown ($reason)" "<pre>$what</pre>" "**What to do:** $remedy" \
      >>"$GITHUB_STEP_SUMMARY"
  fi
  exit "$code"
}
cannot_start() { stop internal 70 'cannot start' "$@"; }

# As action.yml starts it: the command is an input, and advice names inputs. Whoever gives arguments types flags.
if (($# == 0)); then
  export THREADFIX_GATE_ACTION=1
  case ${THREADFIX_COMMAND:-run} in
    run | doctor) set -- "${THREADFIX_COMMAND:-run}" ;;
    *) stop usage 2 'invalid input' "The input \`command\` is neither run nor doctor (value not shown)." \
      'Write run or doctor, or leave it out.' ;;
  esac
fi

# A runner that cancels the job sends SIGINT, then SIGTERM, and soon kills. Bash waits for a command before it heeds a
# signal, but not for one in the background: so what takes long runs there.
result=''
cancelled() {
  trap '' INT TERM
  local job
  for job in $(jobs -p); do
    kill -TERM "$job" 2>/dev/null || true
    wait "$job" || true
  done
  if [[ -n $result ]]; then rm -f "$result"; fi
  stop cancelled "$2" cancelled "The job was cancelled ($1) while the gate was being set up; ThreadFix was not asked." \
    "Run the job again: nothing was sent to ThreadFix."
}
trap 'cancelled SIGINT 130' INT
trap 'cancelled SIGTERM 143' TERM

# Nothing may be said before this. A key of several lines is a mistake that the gate reports; it would not be masked
# whole. In a file the command would only show the key.
masked() {
  if [[ ${GITHUB_ACTIONS:-} != true || -z ${THREADFIX_API_KEY:-} ]]; then return 0; fi
  local key=$THREADFIX_API_KEY
  key=${key#"${key%%[![:space:]]*}"}
  key=${key%"${key##*[![:space:]]}"}
  if [[ -f /dev/stderr || $key == *[$'\r\n']* ]]; then return 1; fi
  if [[ -n $key ]]; then printf '::add-mask::%s\n' "${key//'%'/%25}" >&2; fi
}

# A Python 2 has no -I, and what Windows calls python3 may only open a shop: both fail, as they should.
fits() {
  "$1" -I -c 'import sys
from importlib.util import find_spec
sys.exit(sys.version_info < (3, 10) or not find_spec("venv") or not (find_spec("pip") or find_spec("ensurepip")))
' </dev/null >/dev/null 2>&1
}

python='' tried=''
consider() {
  if [[ -n $python ]]; then return; fi
  if ! command -v "$1" >/dev/null; then
    tried+="$1 is not there; "
  elif fits "$1"; then
    python=$1
  else
    local version
    version=$("$1" --version 2>&1 </dev/null) || true
    tried+="$1 does not fit (${version:0:60}); "
  fi
}

# Only finished versions: the locked packages have no builds for pre-releases and free-threaded ones.
consider_newest_in_cache() {
  if [[ -n $python ]]; then return; fi
  local candidate rank best='' newest='' layout='/([0-9]+)\.([0-9]+)\.([0-9]+)/(x64|x86|arm64)/(bin/)?python(\.exe)?$'
  for candidate in "$cache"/Python/*/*/bin/python "$cache"/Python/*/*/python.exe; do
    [[ $candidate =~ $layout ]] || continue
    printf -v rank '%04d%04d%04d' "${BASH_REMATCH[@]:1:3}"
    if [[ $rank > $best ]] && fits "$candidate"; then best=$rank newest=$candidate; fi
  done
  if [[ -n $newest ]]; then python=$newest; else tried+="no fitting one is in ${cache:-a tool cache}; "; fi
}

if [[ -n ${THREADFIX_PYTHON:-} ]]; then
  consider "$THREADFIX_PYTHON"
  remedy="Correct the input \`python\`, or leave it out"
else
  consider python3
  consider python
  consider_newest_in_cache
  remedy="Put actions/setup-python before this step, or name a Python in the input \`python\`"
fi
if [[ -z $python ]]; then
  cannot_start "The gate needs Python 3.10 or later with venv and pip (python3-venv on Debian). Found: ${tried%; }." \
    "$remedy."
fi

environment=("$python" -I -B -X utf8 "$here/environment.py")
if ! found=$("${environment[@]}" find 2>/dev/null); then
  if masked; then
    what='Installing the packages of threadfix-gate, since they are not on this runner yet: a few seconds'
    if [[ ${GITHUB_ACTIONS:-} == true ]]; then
      printf '%s\n' '::group::Set-up of the gate' "$what" '::endgroup::' >&2
    else
      printf '%s\n' "$what" >&2
    fi
  fi
  for folder in "${RUNNER_TEMP:-}" "${TMPDIR:-}" /tmp; do
    if [[ -n $folder ]] && result=$(mktemp "$folder/threadfix-gate.XXXXXX" 2>/dev/null); then break; fi
  done
  if [[ -z $result ]]; then
    cannot_start "No temporary file can be made in RUNNER_TEMP, TMPDIR or /tmp." "Let one of them be a writable folder."
  fi
  "${environment[@]}" make >"$result" &
  code=0
  wait "$!" || code=$?
  found=$(<"$result")
  rm -f "$result"
  result=''
  if ((code)); then
    cannot_start "${found:-The set-up broke; its traceback is in the log.}" \
      "Correct that, then run the job again: nothing was sent to ThreadFix."
  fi
fi

export THREADFIX_API_KEY
# exec, so that it is the gate that the runner's signals reach. Without -B it would write into the action's own folder.
exec "${found%$'\r'}" -I -B -u -X utf8 -c 'import os, runpy, sys
sys.path.insert(0, os.path.abspath(sys.argv.pop(1)))
runpy.run_module("gate", run_name="__main__", alter_sys=True)' "$here/.." "$@"
