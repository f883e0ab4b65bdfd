#!/usr/bin/env bash
# Fetches the packages of debian-texts.txt (on Debian; some 250 MB) and extracts their Chinese and
# English sentences into the folder that crnn.synth draws from: ~/.cache/crnn/texts. Nothing is
# installed, so no root is needed, but the lists of `apt-get update` are.
set -euo pipefail
command -v apt-get >/dev/null || { echo "on Debian, which has the packages" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
texts=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/crnn/texts}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/debs" "$work/packages"
cd "$work/debs"
xargs -a "$here/debian-texts.txt" apt-get -o APT::Sandbox::User=root --quiet download
for package in *.deb; do
  dpkg-deb --extract "$package" "$work/packages/${package%%_*}"
done
"$python" -m crnn.synth.text.extract "$work/packages" "$texts"
