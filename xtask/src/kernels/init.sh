#!/bin/sh
# The first process of a guest: what a system would mount, the modules, then `check.sh`.
export PATH=/bin OUT=/run WEIR=weir TESTS=kernel-tests DATA=/data
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
exec >/dev/ttyS0 2>&1 </dev/null
for module in $(cat /modules/order); do
    insmod "/modules/$module.ko" || echo "insmod $module: $?"
done
ip link set lo up
for word in $(cat /proc/cmdline); do
    case $word in checks=*) CHECKS=$(echo "${word#checks=}" | tr , ' ') ;; esac
done
export CHECKS
sh /check.sh
echo "@@ warnings $(dmesg | grep -cE 'WARNING: (CPU|[a-z])|BUG: |Oops|rcu_.*stall')"
poweroff -f
