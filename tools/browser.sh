#!/bin/sh
# The browser tests need Chromium, a font with Chinese characters, and on a bare Debian the C library's atomics, which
# the driver of Playwright is linked to. Install what is missing, or say what to do.
set -eu
cd "$(dirname "$0")/.."

missing=
if [ -z "${CHROMIUM:-}" ] && ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null &&
    ! command -v google-chrome >/dev/null; then
    missing=chromium
fi
if ! command -v fc-list >/dev/null || [ -z "$(fc-list :lang=zh family)" ]; then
    missing="$missing fonts-noto-cjk fontconfig"
fi
for node in .venv/lib/python3*/site-packages/playwright/driver/node; do
    if [ -x "$node" ] && ! "$node" --version >/dev/null 2>&1; then missing="$missing libatomic1"; fi
done
if [ -z "$missing" ]; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing$(printf ' %s' $missing) for the browser tests"
    apt-get update -q
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
else
    echo "The browser tests need:$(printf ' %s' $missing)" >&2
    echo "On Debian or Ubuntu: sudo apt-get update && sudo apt-get install $missing" >&2
    echo "Elsewhere: install Chromium or Chrome, name it in the variable CHROMIUM, and any CJK font." >&2
    exit 1
fi
