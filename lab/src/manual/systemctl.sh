#!/bin/bash
# What systemd does with our two units, on a host that is a namespace: systemctl VERB [--now] UNIT.
set -eu
verb=$1
shift
[ "${1:-}" = --now ] && shift
unit=${1%.service}
run=/run/standin
alive() { [ -e "$run/$unit.pid" ] && kill -0 "$(cat "$run/$unit.pid")" 2>/dev/null; }
start() {
    case $unit in
    standin) set -- standin run --log text ;;
    standin-witness) set -- standin witness /etc/standin/witness.toml --log text ;;
    *) echo "there is no unit $unit" >&2 && exit 5 ;;
    esac
    setsid "$@" </dev/null >>"$run/$unit.log" 2>&1 &
    echo $! >"$run/$unit.pid"
    # Ready as with Type=notify: it has said something, and it is still there.
    until [ -s "$run/$unit.log" ] && { [ "$unit" != standin ] || standin status >/dev/null 2>&1; }; do
        alive || { cat "$run/$unit.log" >&2 && exit 1; }
        sleep 0.05
    done
}
end() { # SIGNAL
    alive || return 0
    kill -"$1" "$(cat "$run/$unit.pid")"
    while alive; do sleep 0.05; done
}
case $verb in
start | enable) alive || start ;;
stop) end TERM ;;
restart) end USR2 && start ;;
reload) kill -HUP "$(cat "$run/$unit.pid")" ;;
status) alive && tail -n 5 "$run/$unit.log" ;;
*) echo "the lab's systemctl knows no $verb" >&2 && exit 1 ;;
esac
