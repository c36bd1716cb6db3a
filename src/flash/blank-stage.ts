/**
 * The stage disk blank again: nothing on it starts, and no secret of the host is left in a rescue.
 *
 * 1. The disk is found again by what it is.
 * 2. In four steps, each flushed before the next: all before the store (the rescue has the host's
 *    keys), the start of the store, the end of the disk, its beginning. So a store that can be
 *    found says for as long as needed that there is something to undo.
 * 3. Where the disk takes no zeros, that is told, and keeps nobody from the beginning: without it
 *    nothing starts. `makeBlank` is strict: its stage is known again, and given up each time.
 * 4. The kernel forgets the partitions.
 *
 * Not promised: that the packed target in the middle of the store is overwritten; it is encrypted.
 * Secrets of the store are erased before (erase.ts), or all of it goes (`makeBlankAfter`).
 */
import { readdir, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import type { Emit } from '../events.ts'
import { exists } from '../system/exists.ts'
import { run } from '../system/run.ts'
import { MIB } from '../units.ts'
import type { DiskRange } from '../unpack/plan.ts'
import { lookAtTarget, openTarget, type Target } from '../unpack/target.ts'
import { resolveDisk } from './host/disks.ts'
import type { FlashPlan } from './plan/plan.ts'

/** Tables, their copies, and what RAID and LVM write lie within this distance of the ends. */
const END_BYTES = 4 * MIB
/** Of what is tried around a bad sector. */
const PIECE_BYTES = MIB
/** Of one step; a disk that takes so little takes no more. Each may last for half a minute. */
const FAILURES_MAX = 64
/** How long udev is waited for, and then a partition that somebody has open. */
const BUSY_MS_MAX = 10_000
const BUSY_STEP_MS = 200

type Stage = Pick<FlashPlan, 'stage' | 'store'>

export interface Erased {
  /** Why secrets of the store could not be erased. */
  readonly left: string | undefined
  readonly emit: Emit | undefined
  /** Known to fail: it is tried in pieces at once, so that it cannot fail for longer than that. */
  readonly isFailing?: boolean
}

interface Manner {
  /** All of the store goes, not its start alone. */
  readonly isWhole: boolean
  readonly isFailing: boolean
  /** Throws before the beginning of the disk, by which the stage is known again. */
  readonly isStrict: boolean
}

/**
 * Makes the stage blank; with all of the store where its secrets could not be erased, as far as
 * the disk takes it. May be called again.
 * @returns false when secrets may be left, which is told as well
 * @throws OsflashError `refused` when the disk is in use or gone; `io` when it may still start
 */
export async function makeBlankAfter(erased: Erased, plan: Stage): Promise<boolean> {
  const { left, emit, isFailing = false } = erased
  const path = await resolveDisk(plan.stage, { tableId: 'ignore' })
  const isWhole = left !== undefined
  if (isWhole) emit?.({ event: 'note', text: `${left}; all of the store is overwritten instead` })
  const failed = await blank(path, plan, { isWhole, isFailing, isStrict: false })
  if (failed === undefined) return true
  const text = `${messageOf(failed)}; the stage starts nothing, but secrets may be left on it`
  emit?.({ event: 'note', text })
  return false
}

/**
 * Before the stage is taken again: it is known by its partitions until all before them is
 * overwritten. May be called again.
 * @throws OsflashError `refused` when the disk is in use or gone, `io`
 */
export async function makeBlank(plan: Stage): Promise<void> {
  const path = await resolveDisk(plan.stage, { tableId: 'ignore' })
  await blank(path, plan, { isWhole: false, isFailing: false, isStrict: true })
}

/**
 * What is overwritten, in this order; the last step alone must not fail.
 * @param bytes of the disk
 * @param isWhole all of the store, not its start alone
 */
export function blankSteps(
  { offset, bytes: storeBytes }: Stage['store'],
  bytes: number,
  isWhole: boolean,
): readonly DiskRange[] {
  const end = offset + (isWhole ? storeBytes : 0) + END_BYTES
  const first = Math.min(MIB, bytes)
  const store = Math.min(offset, bytes)
  const inner = Math.min(end, bytes)
  const last = Math.max(first, bytes - END_BYTES)
  return [
    { offset: first, length: Math.max(0, store - first) },
    { offset: store, length: inner - store },
    { offset: last, length: bytes - last },
    { offset: 0, length: first },
  ]
}

/** @returns why something but the beginning is not overwritten, of which nothing starts */
async function blank(path: string, { store }: Stage, manner: Manner): Promise<unknown> {
  const failed = await overwrite(path, store, manner)
  // Where it cannot, the next start of the host does.
  await forgetPartitions(path).catch(() => undefined)
  return failed
}

/**
 * udev looks at each partition once the disk was written to; the kernel keeps what is open. Its
 * queue may be held up by a failing disk, so it gets as long as a partition, and only once.
 */
async function forgetPartitions(path: string): Promise<void> {
  const folder = join('/sys/class/block', basename(await realpath(path)))
  const settle = ['udevadm', 'settle', `--timeout=${BUSY_MS_MAX / 1_000}`] as const
  await run(settle, { statuses: [0, 1] }).catch(() => undefined)
  const endMs = performance.now() + BUSY_MS_MAX
  for (;;) {
    await run(['partx', '--delete', path], { statuses: [0, 1] })
    if (!(await hasPartitions(folder)) || performance.now() >= endMs) return
    await sleep(BUSY_STEP_MS)
  }
}

/** @param folder of a disk in sysfs; the boot areas of an eMMC lie there too, and are none */
async function hasPartitions(folder: string): Promise<boolean> {
  for (const entry of await readdir(folder)) {
    if (await exists(join(folder, entry, 'partition'))) return true
  }
  return false
}

async function overwrite(path: string, store: Stage['store'], manner: Manner): Promise<unknown> {
  const options = { path, leastBytes: 0, overwrite: true, resume: false }
  await using target = await openTarget(options, await lookAtTarget(options), false)
  const steps = blankSteps(store, target.bytes, manner.isWhole)
  const failed: unknown[] = []
  const zeroing: Zeroing = { target, failed, isFailing: manner.isFailing }
  for (const range of steps.slice(0, -1)) await zeroAround(zeroing, range)
  if (manner.isStrict && failed.length > 0) throw failed[0]
  await target.zeroAll(steps.slice(-1))
  await target.sync()
  return failed[0]
}

interface Zeroing {
  readonly target: Pick<Target, 'zero' | 'sync'>
  /** What failed is added. */
  readonly failed: unknown[]
  readonly isFailing: boolean
}

/** Zeros, but where the disk takes none: around a bad sector in pieces. */
export async function zeroAround(zeroing: Zeroing, { offset, length }: DiskRange): Promise<void> {
  const { target, failed, isFailing } = zeroing
  const failuresMax = failed.length + FAILURES_MAX
  const note = (error: unknown) => void failed.push(error)
  const inPieces = async () => {
    for (let at = offset; at < offset + length; at += PIECE_BYTES) {
      if (failed.length >= failuresMax) return
      await target.zero(at, Math.min(PIECE_BYTES, offset + length - at)).catch(note)
    }
  }
  await (isFailing ? inPieces() : target.zero(offset, length).catch(inPieces))
  await target.sync().catch(note)
}
