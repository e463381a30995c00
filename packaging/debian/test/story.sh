#!/bin/bash
# The life of the package, told inside the stage. Each line of the result is a check that passed.
set -u

result=/run/out/result
: >"$result"
say() { echo "$*" >>"$result"; }
fail() {
    say "FAILED: $*"
    { systemctl status standin --no-pager -l; journalctl -u standin --no-pager -n 40; } >>"$result" 2>&1
    exit 1
}
# until SECONDS COMMAND…
until_true() {
    local tries=$(($1 * 100))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.01
    done
}
holds() { ip -4 address show dev eth0 | grep -q 'inet 10.9.0.36/32'; }
lacks() { ! holds; }
pid() { systemctl show --value --property MainPID standin; }
is_new() { [ "$(pid)" != "$1" ] && [ "$(pid)" != 0 ] && systemctl is-active --quiet standin; }
logged() { journalctl --sync; journalctl -u standin --no-pager --output cat | grep -q "$1"; }
# Requests to the address from a neighbour, until told to stop; how many were not answered.
ask() {
    rm -f /run/ping
    stdbuf -oL ip netns exec client ping -i 0.005 -W 1 10.9.0.36 >/run/ping 2>&1 &
    asking=$!
    until_true 10 grep -q 'icmp_seq=50 ' /run/ping || fail "nobody answers: $(tail -n 3 /run/ping)"
}
lost() {
    read -r sent received < <(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' /run/ping)
    echo "$sent $((sent - received))"
}
passes() { # WHAT: the lost ones of what was asked
    # Here, not in lost(): a subshell cannot wait for what it did not start.
    kill -INT "$asking"
    wait "$asking"
    read -r sent missing < <(lost)
    [ "$sent" -gt 50 ] || fail "$1: only $sent requests"
    [ "$missing" -eq 0 ] || fail "$1: $missing of $sent requests were lost"
    say "$1: $sent requests, none lost"
}

ip link set lo up
ip netns add client
ip link add eth0 type veth peer name eth1 netns client
ip address add 10.9.0.2/24 dev eth0
ip link set eth0 up
ip -n client address add 10.9.0.1/24 dev eth1
ip -n client link set eth1 up

mkdir -p /etc/standin
cat >/etc/standin/standin.toml <<'FILE'
cluster = "web"
key-file = "/etc/standin/key"
[nodes]
pinky = "10.9.0.2"
brain = "10.9.0.3"
[[vip]]
address = "10.9.0.36"
home = "pinky"
FILE
(umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >/etc/standin/key && echo >>/etc/standin/key)

find /etc /opt /srv /usr /var -xdev -not -path '/var/log/*' -not -path '/var/lib/dpkg/*' -not -path '/var/cache/*' \
    -not -path '/var/lib/systemd/*' -not -path '/tmp/*' -not -path '/etc/standin*' 2>/dev/null | sort >/run/before
cp /etc/passwd /run/passwd

begun=$(date +%s%N)
{ until_true 60 holds && date +%s%N >/run/held; } &
dpkg -i /run/out/first.deb >/run/dpkg 2>&1 || fail "install: $(cat /run/dpkg)"
ended=$(date +%s%N)
until_true 10 test -s /run/held || fail "the address was never taken"
ms() { echo $((($1 - begun) / 1000000)); }
say "installed and started: the VIP is held $(ms "$(cat /run/held)") ms after dpkg -i began, which took $(ms "$ended") ms"

systemctl is-active --quiet standin || fail "it is not active"
[ "$(ps -o user= -p "$(pid)")" = standin ] || fail "it does not run as its own user"
chrt -p "$(pid)" | grep -q SCHED_FIFO || say "(real-time priority was refused here)"
grep -q '^Seccomp:.2' "/proc/$(pid)/status" || fail "no system call is filtered"
until_true 5 sh -c 'systemctl show --value --property StatusText standin | grep -q "1 of 1 VIPs here"' ||
    fail "systemctl status does not say what it does"
say "runs as the user standin, confined; systemctl status: $(systemctl show --value --property StatusText standin)"
until_true 5 logged "10.9.0.36 is here" || fail "nothing in the journal"
logged "files are only read" || fail "it has not confined itself"
journalctl --no-pager STANDIN_VIP=10.9.0.36 STANDIN_EVENT=claimed | grep -q 'is here' || fail "the journal has no fields"
say "the journal finds its entries by STANDIN_VIP="
standin status >/run/status || fail "standin status: nobody answers"
runuser -u nobody -- standin drain pinky >/dev/null 2>&1 && fail "nobody may drain"
say "standin status answers, and nobody changes nothing"

old=$(pid)
ask
dpkg -i /run/out/second.deb >/run/dpkg 2>&1 || fail "upgrade: $(cat /run/dpkg)"
until_true 10 is_new "$old" || fail "the upgrade did not restart it"
until_true 10 logged "leaving everything to the next run" || fail "the upgrade was no restart that keeps"
sleep 1
passes "upgraded"

old=$(pid)
ask
systemctl restart standin || fail "restart"
is_new "$old" || fail "the restart started nothing"
systemctl reload standin || fail "reload"
sleep 0.5
passes "restarted and reloaded"

old=$(pid)
kill -KILL "$old"
until_true 5 is_new "$old" || fail "killed, and not started again"
until_true 5 holds || fail "killed, and the address is gone"
say "killed: started again"

old=$(pid)
kill -STOP "$old"
until_true 30 is_new "$old" || fail "it hangs, and the watchdog sleeps"
until_true 5 holds || fail "it hung, and the address is gone"
say "hung: the watchdog started it again"

systemctl stop standin || fail "stop"
holds && fail "stopped, and the address is still here"
[ "$(systemctl is-active standin)" = inactive ] || fail "it did not end well: $(systemctl is-active standin)"
logged "releasing everything" || fail "the stop was no stop"
say "stopped: the address was released"

systemctl start standin && until_true 5 holds || fail "start again"
dpkg -P standin >/run/dpkg 2>&1 || fail "purge: $(cat /run/dpkg)"
holds && fail "purged, and the address is still here"
find /etc /opt /srv /usr /var -xdev -not -path '/var/log/*' -not -path '/var/lib/dpkg/*' -not -path '/var/cache/*' \
    -not -path '/var/lib/systemd/*' -not -path '/tmp/*' 2>/dev/null | sort >/run/after
left=$(comm -13 /run/before /run/after | grep -v -e '^/etc/passwd-$' -e '^/etc/shadow-$' -e '^/etc/group-$' -e '^/etc/gshadow-$' -e '/__pycache__' -e '^/var/tmp/systemd-private')
[ -z "$left" ] || fail "purged, and this is left: $left"
find /var/lib/systemd -name '*standin*' | grep -q . && fail "systemd remembers: $(find /var/lib/systemd -name '*standin*')"
cmp -s /etc/passwd /run/passwd || fail "purged, and the users are others"
say "purged: no file and no user is left"
say "everything passed"
