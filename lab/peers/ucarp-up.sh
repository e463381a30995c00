#!/bin/sh
# ucarp calls this as `ucarp-up.sh INTERFACE VIP` when its host becomes master. ucarp itself sends
# the gratuitous ARP.
exec ip address add "$2"/32 dev "$1"
