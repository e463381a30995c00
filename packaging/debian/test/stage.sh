#!/bin/bash
# A machine to install packages on, which is gone afterwards: this machine's file system with a layer
# in memory over it, in namespaces of its own, with a real systemd as process 1.
#
#   stage.sh PACKAGE UPGRADE
#
# Needs root (to make the user of the service there are several users needed) and overlayfs.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
package=$(readlink -f "$1")
upgrade=$(readlink -f "$2")

if [ "${STANDIN_STAGE:-}" != inside ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "the stage needs root" >&2
        exit 1
    fi
    STANDIN_STAGE=$(mktemp -d)
    export STANDIN_STAGE_DIRECTORY=$STANDIN_STAGE STANDIN_STAGE=inside
    # A control group of its own, which is the root of all groups inside.
    group=$(findmnt --noheadings --output TARGET --types cgroup2 | head -n 1)/standin-stage-$$
    mkdir "$group"
    status=0
    # The shell that enters the group is the one that becomes the stage.
    bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" timeout --signal=KILL "${STANDIN_STAGE_LIMIT:-180}" \
        unshare --mount --pid --fork --net --uts --ipc --cgroup --kill-child \
        bash "$here/stage.sh" "$package" "$upgrade" || status=$?
    result=$(cat "$STANDIN_STAGE_DIRECTORY/result" 2>/dev/null || { echo "the stage never got that far ($status)"; tail -n 40 "$STANDIN_STAGE_DIRECTORY/console" "$STANDIN_STAGE_DIRECTORY/journal"; })
    rm -rf "$STANDIN_STAGE_DIRECTORY"
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    echo "$result"
    case $result in *"everything passed") exit 0 ;; *) exit 1 ;; esac
fi

stage=$STANDIN_STAGE_DIRECTORY
mkdir "$stage/layer"
mount -t tmpfs tmpfs "$stage/layer"
mkdir "$stage/layer/up" "$stage/layer/work" "$stage/layer/root"
root=$stage/layer/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$stage/layer/up,workdir=$stage/layer/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mkdir "$root/run/out"
mount --bind "$stage" "$root/run/out"

cp "$package" "$stage/first.deb"
cp "$upgrade" "$stage/second.deb"
cp "$here/story.sh" "$stage/story.sh"
# A container forbids its packages to start services; on the stage they shall.
rm -f "$root/usr/sbin/policy-rc.d"
# Nothing of the machine's own services: the story is all that is started.
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
cat >"$root/etc/systemd/system/story.target" <<'UNIT'
[Unit]
Description=The life of a package
Requires=story.service basic.target
UNIT
cat >"$root/etc/systemd/system/story.service" <<'UNIT'
[Unit]
Description=Tells the life of a package
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash /run/out/story.sh
StandardError=file:/run/out/console
ExecStopPost=/bin/sh -c "journalctl --no-pager -n 60 >/run/out/journal"
ExecStopPost=/bin/systemctl --force --force poweroff
UNIT
exec chroot "$root" /lib/systemd/systemd --system --unit=story.target --show-status=no </dev/null >"$stage/console" 2>&1
