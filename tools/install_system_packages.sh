#!/usr/bin/env bash
# Install what the tests drive and pip cannot bring, from Debian or Ubuntu's own packages, where it is missing: Chromium
# (every browser test), Firefox and WebKit (what Safari and all iPhones use; liveness), bubblewrap (the grading sandbox).
set -euo pipefail

if [[ "${1:-}" == --help ]]; then
  sed -n '2,3s/^# //p' "$0"
  exit
fi
packages=()
command -v chromium chromium-browser google-chrome >/dev/null || packages+=(chromium)
command -v firefox-esr firefox >/dev/null || packages+=(firefox-esr)
command -v WebKitWebDriver >/dev/null || packages+=(webkit2gtk-driver)
command -v Xvfb >/dev/null || packages+=(xvfb)
command -v bwrap >/dev/null || packages+=(bubblewrap)
if (( ${#packages[@]} )); then
  run_as_root=$( (( EUID )) && echo sudo || true)
  $run_as_root apt-get update --quiet
  $run_as_root apt-get install --yes --quiet --no-install-recommends "${packages[@]}"
fi
