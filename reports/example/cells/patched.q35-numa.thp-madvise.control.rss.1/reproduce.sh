#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The cell patched.q35-numa.thp-madvise.control.rss.1, again: by the command of its run, in the folder where that was given.
# Elsewhere, $RMAPLAB_DIRECTORY names the folder.
directory=/opt/rmaplab
cd -- "${RMAPLAB_DIRECTORY:-$directory}" || exit 69
exec ./lab.py ab configs/rmap.yaml --series patches/device-exclusive --filter guest=q35-numa,settings=thp-madvise,testcase=control/rss

# Its guest alone, with the console here and the agent's channel on ./agent.sock
# (docs/protocol.md says how to talk to it):
# qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -machine q35,sata=off,smbus=off,vmport=off,i8042=off -accel tcg,thread=multi -cpu qemu64 -smp 2,sockets=2,cores=1,threads=1 -m 1024M -object memory-backend-ram,id=node0,size=512M -numa node,nodeid=0,memdev=node0,cpus=0 -object memory-backend-ram,id=node1,size=512M -numa node,nodeid=1,memdev=node1,cpus=1 -serial stdio -device virtio-serial-pci,max_ports=2,ioeventfd=off -chardev socket,id=agent,path=agent.sock,server=on,wait=on -device virtserialport,chardev=agent,name=org.rmaplab.agent -kernel /var/cache/rmaplab/builds/00d70678736d5b1c/bzImage -initrd /var/cache/rmaplab/initramfs/18dfbf34cca6d5f7/initramfs.cpio -append 'console=ttyS0 rdinit=/init oops=panic panic=0 random.trust_cpu=on ignore_loglevel no_timer_check'
