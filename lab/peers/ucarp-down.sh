#!/bin/sh
# ucarp calls this as `ucarp-down.sh INTERFACE VIP` when its host becomes backup, and once at start,
# when there is nothing to remove.
ip address del "$2"/32 dev "$1" 2>/dev/null
exit 0
