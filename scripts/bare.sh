#!/bin/sh
# Runs README's first command in a fresh copy with a PATH that has no Go, no Node and no C compiler: what the toolchains
# of PyPI must stand in for; then makes and tests a plugin in every language. Needs nothing but Python, make and the registries.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z | xargs -0 tar -cf - | tar -xf - -C "$work"
mkdir "$work/bin"
for tool in sh env make python3 git cat cksum sed tr sort paste uname dirname mktemp mkdir rm ls head tail cut grep date id true false printf echo test expr cp mv ln chmod sleep tar xargs readlink basename; do
    found=$(command -v "$tool" 2>/dev/null) || continue
    case "$found" in /*) ln -s "$found" "$work/bin/$tool" ;; esac
done
python=$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')
ln -sf "$python" "$work/bin/python3"
cd "$work"
PATH="$work/bin" PYTHON="$python" HOME="$work" KUBESHARK_IDENTITY="$work/.run/identity.age" KUBESHARK_PLUGINS="$work/.run/plugins" \
    make run SERVE=0 STORE="$work/.run/store"
for language in js ts c cpp go python; do
    PATH="$work/bin" HOME="$work" .venv/bin/kubeshark plugin new "new-$language" --lang "$language"
    PATH="$work/bin" HOME="$work" .venv/bin/kubeshark plugin test "new-$language"
done
