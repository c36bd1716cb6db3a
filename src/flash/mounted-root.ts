/**
 * A file system inside a disk, mounted without partition nodes.
 *
 * 1. `mount -o loop,offset=…,sizelimit=…`: works on disks and on image files, and on kernels
 *    that know no partition tables. The offset comes from a table that we wrote or checked.
 * 2. Leaving the block unmounts it, waits until its loop device is gone, and flushes the disk;
 *    on failure and on cancelling too.
 * 3. Somebody who still uses it (a udev rule that looks at it) gets five seconds.
 *
 * Not `nosuid` and not `nodev`: programs of the root are run in it. Not promised: unmounting
 * after SIGKILL. `umount` is not recursive: over a shared /dev it would unmount the host's.
 */
import { mkdir, open, readFile, realpath } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { ioError, OsflashError } from '../errors.ts'
import { run } from '../system/run.ts'

const BUSY_MS_MAX = 5_000
const BUSY_STEP_MS = 100

export interface PartitionPlace {
  /** Path of the disk or of an image file. */
  readonly disk: string
  /** Where the file system begins, and its length, in bytes. */
  readonly offset: number
  readonly length: number
  /** As `mount -t` has it. */
  readonly fileSystem: string
  /** Mount point; made when it is missing. */
  readonly at: string
  readonly readOnly?: boolean
}

export interface MountedRoot extends AsyncDisposable {
  /** The mount point. */
  readonly path: string
}

/**
 * Mounts a partition; `await using` unmounts it.
 * @throws OsflashError `process` or `missing-tool` when it cannot be mounted; nothing is left
 */
export async function mountPartition(
  place: PartitionPlace,
  options: { readonly signal?: AbortSignal } = {},
): Promise<MountedRoot> {
  const { disk, offset, length, at, readOnly = false } = place
  await mkdir(at, { recursive: true }).catch((cause) => {
    throw ioError(`making ${at}`, cause)
  })
  const taken = await mountedDevice(at)
  if (taken !== undefined) {
    throw new OsflashError('refused', `mounting at ${at}: ${taken} is mounted there`, {
      hints: [`umount ${at}`],
    })
  }
  const range = `loop,offset=${offset},sizelimit=${length},noatime`
  await using undo = new AsyncDisposableStack()
  undo.defer(() => unmount(place))
  // Without -w mount(8) would join a mount that others have for reading, and be content.
  const mode = readOnly ? '-r' : '-w'
  await run(['mount', mode, '-t', place.fileSystem, '-o', range, disk, at], options)
  const done = undo.move()
  return { path: at, [Symbol.asyncDispose]: () => done.disposeAsync() }
}

/** Does nothing where nothing is mounted, so it may follow a mount that failed. */
async function unmount(place: PartitionPlace): Promise<void> {
  const { at, disk } = place
  const device = await mountedDevice(at)
  if (device === undefined) return
  await retryBusy(`unmounting ${at}`, async () => {
    // 32: "mount failure", which is what umount says when it is busy.
    return (await run(['umount', at], { statuses: [0, 32] })).status === 0
  })
  await retryBusy(`freeing ${device}`, async () => !(await isBound(device, place)))
  await flush(disk)
}

/** The loop device that is mounted last at this place. */
async function mountedDevice(at: string): Promise<string | undefined> {
  const argv = ['findmnt', '--noheadings', '--output', 'SOURCE', '--mountpoint', at] as const
  const { stdout } = await run(argv, { statuses: [0, 1] })
  return stdout.trim().split('\n').at(-1) || undefined
}

/** By what it is bound to: a free number is soon somebody else's. */
async function isBound(device: string, { disk, offset }: PartitionPlace): Promise<boolean> {
  const folder = `/sys/block/${device.replace('/dev/', '')}/loop`
  const backing = await readFile(`${folder}/backing_file`, 'utf8').catch(() => undefined)
  if (backing?.trim() !== (await realpath(disk))) return false
  const start = await readFile(`${folder}/offset`, 'utf8').catch(() => undefined)
  return start?.trim() === String(offset)
}

async function retryBusy(doing: string, attempt: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; waited <= BUSY_MS_MAX; waited += BUSY_STEP_MS) {
    if (await attempt()) return
    await sleep(BUSY_STEP_MS)
  }
  throw new OsflashError('io', `${doing}: somebody still uses it`, {
    hints: [`see who, and end it: fuser -vm ${doing.split(' ').at(-1)}`],
  })
}

async function flush(disk: string): Promise<void> {
  try {
    await using file = await open(disk, 'r')
    await file.sync()
  } catch (cause) {
    throw ioError(`flushing ${disk}`, cause)
  }
}
