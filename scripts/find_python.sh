#!/bin/sh
# Prints the path of a Python 3.13 that runs: on the PATH, under pyenv, or through uv. Else says what to install.
# A pyenv shim may be on the PATH and still fail, so each candidate is tried and not just looked for.
works() {
    "$1" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1
}

for candidate in python3.13 python3 python \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13; do
    path=$(command -v "$candidate" 2>/dev/null) || continue
    if works "$path"; then
        echo "$path"
        exit 0
    fi
done

if command -v uv >/dev/null 2>&1; then
    uv python install --quiet 3.13 >/dev/null 2>&1
    path=$(uv python find 3.13 2>/dev/null)
    if [ -n "$path" ] && works "$path"; then
        echo "$path"
        exit 0
    fi
fi

echo "Python 3.13 is needed and was not found: install it (python.org, 'pyenv install 3.13' or 'uv python install 3.13') and try again." >&2
exit 1
