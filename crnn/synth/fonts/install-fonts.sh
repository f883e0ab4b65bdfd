#!/usr/bin/env bash
# Installs the free fonts that the recipes draw in (Debian, as root): the packages of
# debian-fonts.txt, Fandol out of a package of TeX's, whose hundreds of megabytes of
# dependencies a font does not need, and two that only npm has. `FONTTOOLS` unpacks those.
set -euo pipefail
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "on Debian, as root" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
folder=/usr/local/share/fonts/crnn
fonttools=$(command -v "${FONTTOOLS:-fonttools}") || { echo "no fonttools: make install" >&2; exit 1; }

apt-get update
xargs -a "$here/debian-fonts.txt" apt-get install -y --no-install-recommends
command -v npm >/dev/null || apt-get install -y --no-install-recommends npm

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -o APT::Sandbox::User=root download texlive-lang-chinese
dpkg-deb --fsys-tarfile texlive-lang-chinese_*.deb |
  tar -x --wildcards '*/fandol/Fandol[FHKS]*.otf'
for package in ma-shan-zheng@5.3.1 zcool-xiaowei@5.3.0; do
  npm pack --silent "@fontsource/$package"
  name=${package%@*}
  tar -xzf fontsource-"$name"-*.tgz package/files/"$name"-chinese-simplified-400-normal.woff
  "$fonttools" ttLib --no-recalc-timestamp --flavor '' -o "$work/$name.ttf" package/files/"$name"-*.woff
done
mkdir -p "$folder"
find . -name 'Fandol*.otf' -exec mv -t "$folder" {} +
mv -t "$folder" ./*.ttf
ls "$folder"
