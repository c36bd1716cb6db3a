/**
 * Which Debian package holds a tool, for the hint of a `missing-tool` error.
 *
 * 1. Look the name of the program up, without its folder.
 * 2. Not in the table: the package is taken to have the tool's name.
 *
 * Not promised: completeness; `scripts/packages.txt` lists what development needs.
 */

import { basename } from 'node:path'

const TOOL_PACKAGES: Readonly<Record<string, string>> = {
  blkdiscard: 'util-linux',
  blkid: 'util-linux',
  blockdev: 'util-linux',
  btrfs: 'btrfs-progs',
  chattr: 'e2fsprogs',
  cp: 'coreutils',
  dd: 'coreutils',
  debugfs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  fallocate: 'util-linux',
  findmnt: 'util-linux',
  getfattr: 'attr',
  'grub-editenv': 'grub-common',
  'grub-mkimage': 'grub-common',
  ip: 'iproute2',
  losetup: 'util-linux',
  lsblk: 'util-linux',
  mcopy: 'mtools',
  mdir: 'mtools',
  mke2fs: 'e2fsprogs',
  'mkfs.btrfs': 'btrfs-progs',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.vfat': 'dosfstools',
  'mkfs.xfs': 'xfsprogs',
  mknod: 'coreutils',
  mkswap: 'util-linux',
  mmd: 'mtools',
  mount: 'mount',
  partx: 'util-linux',
  'qemu-img': 'qemu-utils',
  'qemu-system-x86_64': 'qemu-system-x86',
  setfattr: 'attr',
  sfdisk: 'fdisk',
  sgdisk: 'gdisk',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  sync: 'coreutils',
  systemctl: 'systemd',
  udevadm: 'udev',
  umount: 'mount',
  unshare: 'util-linux',
  xz: 'xz-utils',
}

/** The line that installs a missing tool. */
export function packageHint(program: string): readonly string[] {
  const name = basename(program)
  return [`apt-get install ${TOOL_PACKAGES[name] ?? name}`]
}
