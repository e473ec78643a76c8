# Host resolvers for the tests, unpacked and never installed: this machine's own resolver stays as it is.
#
# Sourced by bootstrap for tests. Each set of packages is kept in $KVPN_CACHE and linked as .cache/debs/NAME, a tree with
# usr and etc that tests lay over those of a mount namespace.

# deb_extract NAME PACKAGE…: downloads and unpacks Debian packages of the versions that apt offers now.
deb_extract() {
    local name=$1 folder="$KVPN_CACHE/debs-$1" deb; shift
    if [[ ! -e $folder/done ]]; then
        have apt-get && have dpkg-deb || { say "no apt-get: $name is left out, its tests are skipped"; return 0; }
        say "unpacking for tests, not installing: $*"
        rm -rf "$folder" && mkdir -p "$folder/debs" "$folder/root"
        (cd "$folder/debs" && deb_download "$@") || { say "cannot download $*: its tests are skipped"; return 0; }
        for deb in "$folder"/debs/*.deb; do dpkg-deb -x "$deb" "$folder/root"; done
        deb_merge_usr "$folder/root"
        touch "$folder/done"
    fi
    mkdir -p .cache/debs && ln -sfn "$folder/root" ".cache/debs/$name"
}

# /lib and /sbin are in /usr on every system that the tests run on.
deb_merge_usr() {
    local part
    for part in bin sbin lib; do
        [[ -d $1/$part ]] || continue
        mkdir -p "$1/usr/$part" && cp -a "$1/$part/." "$1/usr/$part/" && rm -r "${1:?}/$part"
    done
}

# The package lists may be missing or too old for what the mirror holds: one update, then once more.
deb_download() {
    apt-get download -qq "$@" >/dev/null 2>&1 || { apt-get update -qq && apt-get download -qq "$@"; } >/dev/null 2>&1
}

deb_extract resolved systemd-resolved libnss-resolve libsystemd-shared
deb_extract openresolv openresolv
deb_extract resolvconf resolvconf
