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

need_postgres() { # the server's programs, for the tests, which start servers of their own
  if command -v postgres > /dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' > /dev/null; then
    return
  fi
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "no PostgreSQL server is installed here, and only root on Debian can be helped" >&2
    return
  fi
  echo "installing PostgreSQL's server" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends postgresql-common > /dev/null
  # Debian would make a cluster and start it; nobody here wants one.
  sed -i 's/^#* *create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  apt-get install -y -qq --no-install-recommends postgresql > /dev/null
}

need_chromium() { # a browser, for the tests of the report's page
  if command -v chromium > /dev/null || command -v google-chrome > /dev/null; then
    return
  fi
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "no Chromium is installed here, and only root on Debian can be helped" >&2
    return
  fi
  echo "installing Chromium" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq chromium fonts-dejavu-core > /dev/null
}
