# Sourced by the other scripts: makes .venv with the extras they name, once for each set of requirements.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

need() { # need EXTRAS: an editable install of this checkout with these extras, under the tested versions
  local extras=$1 python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "fedanalytics needs Python 3.11 or newer; $python is $("$python" --version 2>&1)" >&2
    exit 2
  }
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  local want
  want=$(cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)
  for extra in ${extras//,/ }; do
    if [ "$(cat ".venv/.installed-$extra" 2>/dev/null || true)" != "$want" ]; then
      echo "installing fedanalytics[$extras] into .venv" >&2
      .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --use-pep517 --constraint constraints.txt --editable ".[$extras]"
      for done in ${extras//,/ }; do echo "$want" > ".venv/.installed-$done"; done
      break
    fi
  done
  export PATH="$PWD/.venv/bin:$PATH"
}
