#!/bin/sh
# Make or renew the virtual environment .venv: `sh tools/environment.sh` for readers, `... test` for developers.
# uv, which pip fetches, installs in seconds; where it fails (an unusual index or platform), pip itself does it.
set -eu
cd "$(dirname "$0")/.."
extra=${1:-}
venv=.venv
package=.${extra:+[$extra]}

fail() { printf '%s\n' "$@" >&2; exit 1; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "The course needs Python 3.11 or newer; none of python3, python3.13, python3.12, python3.11 is." \
        "Install one, or name it: make lab PYTHON=/path/to/python3"
}

usable() { # it works, and was made here: a directory that was moved or copied holds another one's paths
    $venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
        grep -qF "$(pwd -P)/$venv" $venv/bin/activate
}

if ! usable; then
    python=$(find_python)
    echo "Making $venv with $($python --version)"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then # Debian keeps these in a package of their own
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv
        else
            fail "$python has no module ensurepip. On Debian or Ubuntu: sudo apt-get install python3-venv"
        fi
    fi
    "$python" -m venv --clear $venv
fi

# uv reads neither pip's settings nor its certificates: hand on a mirror and a certificate bundle, where there are any.
index=${PIP_INDEX_URL:-$($venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"; fi
if [ -n "${PIP_CERT:-}" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"; fi
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}" PIP_DISABLE_PIP_VERSION_CHECK=1

echo "Installing the packages named in pyproject.toml"
if $venv/bin/python -m pip install --quiet --constraint constraints.txt uv &&
    $venv/bin/uv pip install --quiet --python $venv/bin/python --build-constraint constraints.txt \
        --constraint constraints.txt --reinstall-package distributed-systems-course --editable "$package"; then
    exit 0
fi
echo "uv did not manage it; trying pip, which takes about a minute" >&2
PIP_CONSTRAINT=constraints.txt $venv/bin/python -m pip install --quiet --no-compile --editable "$package"
