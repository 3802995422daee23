#!/usr/bin/env bash
# Run `make test-NAME` for every NAME given, all of them even when one fails, and name every failure at the end.
set -uo pipefail
cd "$(dirname "$0")/.."

if [[ "${1:-}" == --help ]]; then
  sed -n '2s/^# //p' "$0"
  exit
fi
declare -A about=(
  [lint]="the style of the code"
  [unit]="the library, the tools and the built pages"
  [notebooks]="every notebook runs again and is compared with its stored outputs"
  [browsers]="the pages in Chromium, Firefox and WebKit"
  [grading]="submissions, friendly and hostile, in the sandbox"
  [timed]="what the live views cost, measured with nothing beside it"
)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
number=0 failed=() took=() names=""
for stage in "$@"; do
  number=$((number + 1)) start=$SECONDS
  printf '\n=== %d of %d: %s: %s ===\n' "$number" $# "$stage" "${about[$stage]-}"
  if ! "${MAKE:-make}" --no-print-directory "test-$stage" 2>&1 | tee "$log"; then
    failed+=("$stage")
    names+=$(printf '\n%s:' "$stage"; grep -E '^(FAILED|ERROR) ' "$log" | sed 's/^/\n  /')
  fi
  took+=("$stage $((SECONDS - start)) s")
done
printf '\n=== %d min %d s: %s ===\n' $((SECONDS / 60)) $((SECONDS % 60)) "$(printf ', %s' "${took[@]}" | cut -c 3-)"
if (( ${#failed[@]} )); then
  printf 'Failed: %s. Run a part again with, for example: make test-%s\n%s\n' "${failed[*]}" "${failed[0]}" "$names"
  exit 1
fi
echo "All passed."
