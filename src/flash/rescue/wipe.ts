/**
 * Removes the first OS from the first disk: partitions, file systems, both ends.
 *
 * 1. Nothing of the disk may be in use: swap, RAID and LVM that the rescue's own udev rules
 *    started are stopped first.
 * 2. Every signature in every old partition is erased (`wipefs`), so that nothing of the first OS
 *    is found again in whatever is written there later.
 * 3. Both ends of the disk become zero, with both partition tables. Sector 0 keeps the guard:
 *    the zeros go through the guarded target.
 * 4. The kernel forgets the partitions.
 *
 * May be done again. Not promised: that data in the middle of partitions is overwritten.
 */
import { readFile } from 'node:fs/promises'
import { run } from '../../system/run.ts'
import { MIB } from '../../units.ts'
import { lookAtTarget, openTarget, type Target } from '../../unpack/target.ts'
import { listDisks } from '../host/disks.ts'
import { type BlockNode, nodesOf } from '../host/lsblk.ts'

/** md, LVM, ZFS and GPT keep what they know within this distance of the ends. */
const END_BYTES = 4 * MIB

export interface WipeOptions {
  /** Stands between this and the disk, and keeps sector 0. */
  readonly guarded: (target: Target) => Target
  /** Called when nothing refuses any more, before the first byte is erased. */
  readonly begin: () => Promise<void>
}

/**
 * Wipes the disk at `path`.
 * @throws OsflashError `refused` when something of the disk is in use, `io`, `process`
 */
export async function wipeDisk(path: string, { guarded, begin }: WipeOptions): Promise<void> {
  await release(path)
  const options = { path, leastBytes: 0, overwrite: true, resume: false }
  // Says who uses it, before the first byte is erased.
  await lookAtTarget(options)
  await begin()
  for (const part of await partitionsOf(path)) await run(['wipefs', '--all', part])
  await using opened = await openTarget(options, await lookAtTarget(options), false)
  const target = guarded(opened)
  const length = Math.min(END_BYTES, Math.floor(target.bytes / 2))
  await target.zeroAll([
    { offset: 0, length },
    { offset: target.bytes - length, length },
  ])
  await target.sync()
}

/** Called after the descriptor is closed: the kernel reads a table only while nobody writes. */
export async function forgetPartitions(path: string): Promise<void> {
  await run(['partx', '--delete', path], { statuses: [0, 1] })
  await run(['udevadm', 'settle', '--timeout=30'], { statuses: [0, 1] })
}

/** Deepest first: what lies on others is stopped before them. */
async function release(path: string): Promise<void> {
  for (const { type, path: node } of (await nodesOn(path)).toReversed()) {
    if (type.startsWith('raid')) await run(['mdadm', '--stop', node])
    else if (type === 'lvm') await run(['lvchange', '--activate', 'n', node])
    else if (await isSwap(node)) await run(['swapoff', node])
  }
}

async function isSwap(node: string): Promise<boolean> {
  const swaps = await readFile('/proc/swaps', 'utf8')
  return swaps.split('\n').some((line) => line.startsWith(`${node} `))
}

async function partitionsOf(path: string): Promise<string[]> {
  return (await nodesOn(path)).filter(({ type }) => type === 'part').map((part) => part.path)
}

/** The disk's partitions and what is made of them, each behind what it lies on. */
async function nodesOn(path: string): Promise<BlockNode[]> {
  const disk = (await listDisks()).find((one) => one.path === path)
  return disk === undefined ? [] : [...nodesOf(disk.node)].slice(1)
}
