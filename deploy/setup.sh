#!/usr/bin/env bash
# Makes this checkout ready: system packages (install.sh --dev) and .venv from the lock file.
#
#   deploy/setup.sh              both
#   deploy/setup.sh --python     .venv alone, which needs no root
#
# A stamp in .venv carries a digest of all that went in, so a second run does nothing and says nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
    "") deploy/install.sh --dev ;;
    --python) ;;
    *) printf 'setup.sh: unknown argument %s\n' "$1" >&2; exit 2 ;;
esac

# The system's own interpreter first: what a developer's PATH finds may vanish under a running node.
python=
for candidate in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [[ -z $python ]]; then
    printf 'setup.sh: no Python 3.11 or newer found; run deploy/install.sh as root\n' >&2
    exit 1
fi

stamp=.venv/.covey-setup
want=$({ "$python" --version; pwd; cat requirements.lock pyproject.toml deploy/setup.sh; } 2>/dev/null | sha256sum)
if [[ -x .venv/bin/covey && -x .venv/bin/coveyd && -r $stamp && $(<"$stamp") == "$want" ]]; then
    exit 0
fi

printf 'preparing .venv\n'
[[ -x .venv/bin/python ]] && .venv/bin/python -c '' 2>/dev/null || rm -rf .venv
if ! "$python" -m venv .venv; then
    printf 'setup.sh: %s cannot make a virtual environment; run deploy/install.sh as root\n' "$python" >&2
    exit 1
fi
pip=(.venv/bin/python -m pip -qq --disable-pip-version-check --no-input)
"${pip[@]}" install --no-deps --require-hashes -r requirements.lock
"${pip[@]}" install --no-deps --no-build-isolation --editable .
printf '%s' "$want" >"$stamp"
