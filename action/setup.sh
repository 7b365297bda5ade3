#!/usr/bin/env bash
# Starts the gate on any runner: finds a Python, lets environment.py find or make the environment, and becomes the gate.
#
# Every Python here starts isolated (-I): the working directory is a checked-out repository that anybody may have
# written, and variables such as PYTHONPATH are the job's, not the gate's. Nothing is printed unless something is wrong,
# since the gate is to mask the key before it says anything.
set -eu -o pipefail

# Only the gate gets the key: pip, and whatever is tried out as a Python, is somebody else's program.
export -n THREADFIX_API_KEY

here=${BASH_SOURCE[0]%/*}
cache=${RUNNER_TOOL_CACHE:-}
# Windows gives C:\hostedtoolcache\windows, and backslashes mean something else in a pattern.
if [[ -n $cache ]] && command -v cygpath >/dev/null; then cache=$(cygpath -u "$cache"); fi

# The gate cannot say its verdict when it cannot start, so what later steps and people read is written here.
stop() {
  local what=${1//[$'\r\n']/ } remedy=$2 less='&lt;'
  local message="$what $remedy"
  printf '::error title=threadfix-gate: cannot start::%s\n' "${message//'%'/%25}" >&2
  if [[ -n ${GITHUB_OUTPUT:-} ]]; then
    printf '%s\n' verdict=unknown reason=internal exit-code=70 "message=$message" >>"$GITHUB_OUTPUT"
  fi
  if [[ -n ${GITHUB_STEP_SUMMARY:-} ]]; then
    # Not Markdown: an index may have had its word in it.
    what=${what//</"$less"}
    printf '%s\n\n' '## ❔ ThreadFix gate: unknown (internal)' "<pre>$what</pre>" "**What to do:** $remedy" \
      >>"$GITHUB_STEP_SUMMARY"
  fi
  exit 70
}

# A Python 2 has no -I, and what Windows calls python3 may only open a shop: both fail, as they should.
fits() {
  "$1" -I -c 'import importlib.util, sys
sys.exit(sys.version_info < (3, 11) or importlib.util.find_spec("ensurepip") is None)' </dev/null >/dev/null 2>&1
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
  stop "The gate needs Python 3.11 or later with venv and ensurepip (python3-venv on Debian). Found: ${tried%; }." "$remedy."
fi

if ! found=$("$python" -I -B -X utf8 "$here/environment.py"); then
  stop "${found:-The set-up broke; its traceback is in the log.}" "Correct that, then run the job again: the gate only reads."
fi

export THREADFIX_API_KEY
# exec, so that it is the gate that the runner's signals reach. Without -B it would write into the action's own folder.
exec "${found%$'\r'}" -I -B -u -X utf8 -c 'import os, runpy, sys
sys.path.insert(0, os.path.abspath(sys.argv.pop(1)))
runpy.run_module("gate", run_name="__main__", alter_sys=True)' "$here/.." "$@"
