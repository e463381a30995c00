#!/usr/bin/env bash
# The 2003 article's method ("Cheap IP Takeover", Linux Server Hacks, hack 63), as a peer to measure
# against: ping the other's real address, take its public address as an alias when it stays silent,
# give the alias back when it answers again. Written anew to the article's description and timing.
#
#   article.sh OTHER_NAME OTHER_REAL_ADDRESS OTHER_PUBLIC_ADDRESS
#
# Environment: INTERFACE (eth0), PAUSE (3, seconds between pings), MISSES (2: the article's listing
# acts at the second missed ping, though its text speaks of three). Ends by SIGTERM; as in the
# article, an alias that is held then stays.
set -uo pipefail
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

if [ $# -ne 3 ]; then
    echo "usage: article.sh OTHER_NAME OTHER_REAL_ADDRESS OTHER_PUBLIC_ADDRESS" >&2
    exit 64
fi
other=$1 real=$2 public=$3
interface=${INTERFACE:-eth0}
pause=${PAUSE:-3}
misses=${MISSES:-2}

# The article's send_arp, as each of Debian's two arping programs spells it: one broadcast ARP request
# with the public address as sender and target.
if arping -V 2>&1 | grep -q iputils; then
    announce() { arping -q -c 1 -w 1 -U -I "$interface" "$public"; }
else
    announce() { arping -q -c 1 -w 1 -U -i "$interface" -S "$public" "$public"; }
fi

missed=0
standing_in=no
while true; do
    if ping -c 1 -W 1 "$real" >/dev/null 2>&1; then
        missed=0
        if [ "$standing_in" = yes ]; then
            ifconfig "$interface:$other" down
            standing_in=no
        fi
    else
        missed=$((missed + 1))
    fi
    if [ "$missed" -ge "$misses" ] && [ "$standing_in" = no ]; then
        ifconfig "$interface:$other" "$public" netmask 255.255.255.255
        standing_in=yes
        announce
    fi
    sleep "$pause"
done
