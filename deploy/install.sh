#!/usr/bin/env bash
# Installs the system packages that Covey needs on a host. Safe to run again: when all is there it takes
# a fraction of a second and changes nothing.
#
#   deploy/install.sh          what a node needs to run services
#   deploy/install.sh --dev    also what `covey dev`, the demo and the tests need
#
# Packages that bring a daemon (docker-registry, etcd-server) never get to start it: we run our own, in a namespace.
set -euo pipefail

runtime=(
    runc conmon catatonit                    # containers
    skopeo containers-storage                # images
    golang-github-containers-common          # default seccomp profile and image policy
    iproute2 nftables                        # what a person looks at the network with
    wireguard-go                             # encrypted networks, where the kernel has no WireGuard
    python3 python3-venv                     # Covey itself
    ca-certificates
)
dev=(
    docker-registry                          # images on the fabric
    busybox-static iputils-ping curl bind9-dnsutils  # what the sample images are made of
    util-linux procps make git
    etcd-server                              # the tests of state kept in etcd start one themselves
    strace                                   # the power-loss test records what reaches the disk
)
daemons=(docker-registry etcd-server)
declare -A units=([etcd-server]=etcd) # where the unit's name is not the package's

fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0"
}

packages=("${runtime[@]}")
for argument in "$@"; do
    case "$argument" in
        --dev) packages+=("${dev[@]}") ;;
        -h | --help) usage; exit 0 ;;
        *) fail "unknown argument '$argument'; see install.sh --help" ;;
    esac
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    name=$(. /etc/os-release 2>/dev/null && printf '%s' "${PRETTY_NAME:-}") || name=
    fail "this is ${name:-an unknown system}, which has no apt: Covey installs itself on Debian 12 or newer and its kin." \
        "Elsewhere install by hand: ${packages[*]}"
fi

missing_packages() {
    local installed
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^installed //p') || true
    comm -13 <(sort -u <<<"$installed") <(printf '%s\n' "${packages[@]}" | sort -u)
}

mapfile -t missing < <(missing_packages)
if ((${#missing[@]} == 0)); then
    exit 0
fi

((EUID == 0)) || fail "these packages are missing and only root can install them: ${missing[*]}"

# invoke-rc.d asks /usr/sbin/policy-rc.d whether a new daemon may start; where somebody has an answer of
# their own it stays. systemd is asked separately: a masked unit cannot start. Both are undone at the end,
# when the daemons new here are taken out of the boot. A daemon that was there before is not touched.
policy=/usr/sbin/policy-rc.d
wrote_policy=
masked=()
fresh=()
restore() {
    [[ -z $wrote_policy ]] || rm -f "$policy"
    for unit in "${masked[@]}"; do
        systemctl unmask --quiet "$unit.service" || true
    done
    for unit in "${fresh[@]}"; do
        [[ ! -e /etc/init.d/$unit ]] || update-rc.d "$unit" disable >/dev/null 2>&1 || true
        [[ ! -d /run/systemd/system ]] || systemctl disable --quiet "$unit.service" 2>/dev/null || true
    done
}
trap restore EXIT

if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    wrote_policy=yes
fi
for daemon in "${daemons[@]}"; do
    [[ " ${missing[*]} " == *" $daemon "* ]] || continue
    unit=${units[$daemon]:-$daemon}
    fresh+=("$unit")
    if [[ -d /run/systemd/system ]]; then
        systemctl mask --quiet "$unit.service" && masked+=("$unit")
    fi
done

printf 'installing: %s\n' "${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
install_missing() {
    "${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null
}
# Package lists that are there usually do; fetching them again costs half a minute.
install_missing || { "${apt[@]}" update && install_missing; } ||
    fail "apt-get could not install: ${missing[*]} (its words are above; is there a network, are the sources right?)"
