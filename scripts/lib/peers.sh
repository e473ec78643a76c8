# The tunnels that scripts/bench compares with, built once per version from their modules and crates.

TAILSCALE_FORK=github.com/tailscale/wireguard-go@v0.0.0-20260928213032-417aef361226

tunnel_peers() {
    go_program tailscale-wireguard-go "$TAILSCALE_FORK"
    crate_program boringtun-cli 0.7.1
    crate_program gotatun-cli 0.10.2
}

# crate_program NAME VERSION: builds a Rust program once per version; without a cargo the bench leaves it out and says so.
crate_program() {
    local name=$1 folder="$KVPN_CACHE/$1-$2" built
    if [[ ! -d $folder/bin ]]; then
        have cargo || { say "no cargo: $name is left out; fix: install Rust 1.85 or newer"; return 0; }
        say "building $name $2 from its crate"
        cargo install --quiet --locked --root "$folder" --version "$2" "$name" </dev/null >&2 ||
            { say "cannot build $name: left out"; return 0; }
    fi
    built=$(find "$folder/bin" -type f -perm -u+x | head -1)
    mkdir -p .cache/bin && ln -sfn "$built" ".cache/bin/$name"
}
