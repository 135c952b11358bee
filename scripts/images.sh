#!/bin/sh
# Builds the images of deploy/images with buildah, each only when what is in it changed. Root; docs/images.md.
#   scripts/images.sh                  build; prints NAME VERSION SIZE
#   scripts/images.sh root NAME        print where the root file system of a built image is mounted
#   scripts/images.sh config NAME      print its configuration as JSON
#   scripts/images.sh push REGISTRY    push to REGISTRY/NAME what is not there yet
#   KUBESHARK_IMAGES_SUITE=bookworm    Debian release of the base
#   KUBESHARK_PUSH_TLS=0               of a registry of tests: plain HTTP
set -eu
cd "$(dirname "$0")/.."
tree=$PWD
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubeshark/images
suite=${KUBESHARK_IMAGES_SUITE:-bookworm}
packages=ca-certificates
# Manuals and texts in other languages are read by nobody; what is said of copyright stays.
left_out='/usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/doc/*/*'
python=$tree/.venv/bin/python # of set-up: it has `build`; $PYTHON is what that is made of

for tool in buildah mmdebstrap skopeo; do
    command -v "$tool" >/dev/null 2>&1 || {
        echo "images are built with $tool: install that first, on Debian apt-get install $tool" >&2
        exit 1
    }
done
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
scratch=$(mktemp -d "$cache/scratch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# 9 is closed for what buildah leaves behind.
in_store() { buildah --root "$cache/store" --runroot "$cache/run" --storage-driver vfs "$@" 9>&-; }
has() { in_store inspect --type image "$1" >/dev/null 2>&1; }
digests=$("$python" scripts/image_digest.py)
input_digests() { echo "$digests"; }

# How this machine reaches Debian (proxies, dates); mounted while images are built, in none of them.
machine_apt() {
    mkdir -p "$scratch/apt.conf.d"
    apt-config dump --format '%f "%v";%n' | grep '^Acquire::' >"$scratch/apt.conf.d/machine" || true
}

base() {
    key=$(echo "$suite $packages $left_out" | sha256sum | cut -c 1-12)
    base=localhost/kubeshark-base:$suite-$key
    if [ ! -f "$cache/base-$suite-$key.tar" ]; then
        echo "making a Debian root (once; about a minute)" >&2
        set -f
        excluded=$(for path in $left_out; do printf -- '--dpkgopt=path-exclude=%s ' "$path"; done)
        # shellcheck disable=SC2086
        mmdebstrap --quiet --variant=minbase --include="$packages" --aptopt="$scratch/apt.conf.d/machine" \
            --aptopt='APT::Install-Recommends "false"' $excluded --dpkgopt='path-include=/usr/share/doc/*/copyright' \
            --customize-hook='rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/hostname" "$1/etc/resolv.conf"' \
            "$suite" "$scratch/base.tar" >&2
        set +f
        mv "$scratch/base.tar" "$cache/base-$suite-$key.tar"
    fi
    has "$base" && return
    made=$(in_store from scratch)
    in_store add -q "$made" "$cache/base-$suite-$key.tar" / >/dev/null
    in_store commit -q --rm "$made" "$base" >/dev/null
}

# What all three are made of, and nothing else of the tree: the wheel, the page, the files of deploy/images.
context() {
    scripts/build_ui.sh
    [ -f hub/page/app/index.html ] || {
        echo "the page is not built, and an image without it is none: scripts/build_ui.sh says why" >&2
        exit 1
    }
    mkdir -p "$scratch/context/deploy/images" "$scratch/context/hub"
    cp -R deploy/images/front deploy/images/python "$scratch/context/deploy/images/"
    cp -R hub/page "$scratch/context/hub/page"
    case " $1 " in *" hub "* | *" worker "*)
        echo "building the wheel" >&2
        "$python" -m build --wheel --outdir "$scratch/dist" . >"$scratch/wheel.log" 2>&1 || {
            tail -20 "$scratch/wheel.log" >&2
            exit 1
        }
        ;;
    esac
    "$python" -m pip config list | "$python" -c '
import ast, sys
kept = {}
for name, _, value in (line.strip().partition("=") for line in sys.stdin):  # the environment comes last
    key = name.rpartition(".")[2]
    if key in ("index-url", "extra-index-url", "cert", "proxy", "timeout", "trusted-host"):
        kept[key] = ast.literal_eval(value).replace("\n", " ")
print("[global]", *(f"{key} = {value}" for key, value in kept.items()), sep="\n")
' >"$scratch/pip.conf"
}

# build_one DOCKERFILE BASE TAG [OPTION...]
build_one() {
    file=$1 from=$2 tag=$3
    shift 3
    in_store build --isolation chroot --pull=never --quiet --build-arg "BASE=$from" \
        --volume "$scratch/apt.conf.d:/etc/apt/apt.conf.d:ro" --volume /etc/ssl/certs:/etc/ssl/certs:ro \
        --secret "id=pip,src=$scratch/pip.conf" --file "$file" --tag "$tag" "$@" "$scratch/context" \
        </dev/null >"$scratch/build.log" 2>&1 || {
        tail -30 "$scratch/build.log" >&2
        exit 1
    }
}

# What a role imports of PyPI: an image of its own, made again when the list changes; prints its name.
python_for() {
    "$python" scripts/roles.py "$1" requirements >"$scratch/context/requirements.txt"
    key=$({ echo "$base"; cat "$scratch/context/requirements.txt" deploy/images/python/*; } | sha256sum | cut -c 1-12)
    made=localhost/kubeshark-python:$1-$key
    has "$made" || {
        echo "building Python for the $1" >&2
        build_one deploy/images/python/Dockerfile "$base" "$made"
    }
    echo "$made"
}

build() {
    machine_apt
    missing=$(input_digests | while read -r name _ digest; do has "localhost/kubeshark-$name:$digest" || printf '%s ' "$name"; done)
    if [ -n "$missing" ]; then
        base
        context "$missing"
    fi
    input_digests | while read -r name version digest; do
        image=localhost/kubeshark-$name
        bill=$cache/$name-$digest.cdx.json
        if ! has "$image:$digest"; then
            from=$base
            if [ "$name" != front ]; then
                from=$(python_for "$name")
                "$python" scripts/image_code.py "$name" "$scratch"/dist/*.whl "$scratch/context/code/$name"
            fi
            echo "building $image:$version" >&2
            build_one "deploy/images/$name/Dockerfile" "$from" "$image:$digest" --label "org.opencontainers.image.version=$version"
        fi
        if [ ! -f "$bill" ]; then
            "$python" scripts/image_sbom.py "$(mounted "$name" "$digest" </dev/null)" "kubeshark-$name" "$version" \
                >"$scratch/sbom.json"
            mv "$scratch/sbom.json" "$bill"
        fi
        in_store tag "$image:$digest" "$image:$version" </dev/null
        size=$(du -s --apparent-size --block-size=1000000 "$(mounted "$name" "$digest" </dev/null)" | cut -f 1)
        echo "$name $version ${size}MB $bill"
    done
}

mounted() {
    in_store inspect --type container "$1-$2" >/dev/null 2>&1 ||
        in_store from --pull-never --name "$1-$2" "localhost/kubeshark-$1:$2" >/dev/null
    in_store mount "$1-$2"
}

# Pushed under the digest first, looked for by it: a tag that is there stands for the same inputs.
push() {
    tls=true
    [ "${KUBESHARK_PUSH_TLS:-1}" = 1 ] || tls=false
    input_digests | while read -r name version digest; do
        target=$1/$name # as manifests ask for it: tap.docker.registry
        if skopeo inspect --raw --tls-verify=$tls "docker://$target:$digest" >/dev/null 2>"$scratch/said" </dev/null; then
            echo "$target:$digest is there"
            continue
        fi
        grep -qiE 'manifest unknown|name unknown|not found' "$scratch/said" || {
            cat "$scratch/said" >&2
            exit 1
        }
        for tag in "$digest" "$version"; do
            in_store push --quiet --tls-verify=$tls --digestfile "$scratch/pushed" "localhost/kubeshark-$name:$digest" \
                "docker://$target:$tag" </dev/null >/dev/null
        done
        echo "$target:$digest pushed as $(cat "$scratch/pushed")"
    done
}

digest_of() {
    input_digests | while read -r name _ digest; do [ "$name" != "$1" ] || echo "$digest"; done
}

case "${1:-build}" in
build) build ;;
root) mounted "$2" "$(digest_of "$2")" ;;
config)
    in_store inspect --type image "localhost/kubeshark-$2:$(digest_of "$2")" |
        "$python" -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["OCIv1"]["config"]))'
    ;;
push) push "$2" ;;
*)
    sed -n '2,8s/^# *//p' "$0" >&2
    exit 2
    ;;
esac
