/**
 * The stage disk blank again: nothing on it starts, and no secret of the host is left in a rescue.
 *
 * 1. The disk is found again by what it is.
 * 2. The whole rescue and the start of the store are overwritten first (the rescue has the host's
 *    keys), and last both ends of the disk: a cut before that is begun again by what the first OS
 *    knows. Where the disk takes no zeros in between, that is told, and keeps nobody from the ends.
 * 3. The kernel forgets the partitions.
 *
 * Not promised: that the packed target in the middle of the store is overwritten; it is encrypted.
 * Secrets of the store are erased before (erase.ts), or all of it goes (`makeBlankAfter`).
 */
import { messageOf } from '../errors.ts'
import type { Emit } from '../events.ts'
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
/** A disk that takes so little takes no more; each failure may last for half a minute. */
const FAILURES_MAX = 64

type Stage = Pick<FlashPlan, 'stage' | 'store'>

export interface Erased {
  /** Why secrets of the store could not be erased. */
  readonly left: string | undefined
  readonly emit: Emit | undefined
}

/**
 * Makes the stage blank; with all of the store where its secrets could not be erased, as far as
 * the disk takes it. May be called again.
 * @throws OsflashError `refused` when the disk is in use or gone; `io` when it may still start
 */
export async function makeBlankAfter({ left, emit }: Erased, plan: Stage): Promise<void> {
  const { store } = plan
  if (left !== undefined) {
    emit?.({ event: 'note', text: `${left}; all of the store is overwritten instead` })
  }
  const failed = await blank(plan, store.offset + (left === undefined ? 0 : store.bytes))
  if (failed === undefined) return
  const text = `${messageOf(failed)}; the stage starts nothing, but secrets may be left on it`
  emit?.({ event: 'note', text })
}

/** May be called again. @throws OsflashError `refused` when the disk is in use or gone, `io` */
export async function makeBlank(plan: Stage): Promise<void> {
  const failed = await blank(plan, plan.store.offset)
  if (failed !== undefined) throw failed
}

/**
 * @param end all before this is overwritten, bytes from the start of the disk
 * @returns why something between the ends is not overwritten, of which nothing starts
 */
async function blank({ stage }: Stage, end: number): Promise<unknown> {
  const path = await resolveDisk(stage, { tableId: 'ignore' })
  const failed = await overwrite(path, end)
  // Where there is no partx, the next start of the host forgets them.
  await run(['partx', '--delete', path], { statuses: [0, 1] }).catch(() => undefined)
  return failed
}

async function overwrite(path: string, end: number): Promise<unknown> {
  const options = { path, leastBytes: 0, overwrite: true, resume: false }
  await using target = await openTarget(options, await lookAtTarget(options), false)
  const endOf = (offset: number): number => Math.min(target.bytes, offset)
  const first = endOf(MIB)
  const last = Math.max(first, target.bytes - END_BYTES)
  const inner = endOf(end + END_BYTES)
  const failed = await zeroAround(target, { offset: first, length: inner - first })
  await target.zeroAll([
    { offset: last, length: target.bytes - last },
    { offset: 0, length: first },
  ])
  await target.sync()
  return failed[0]
}

/** Zeros, but where the disk takes none: around a bad sector in pieces. @returns what failed */
async function zeroAround(target: Target, { offset, length }: DiskRange): Promise<unknown[]> {
  const failed: unknown[] = []
  const note = (error: unknown) => void failed.push(error)
  await target.zero(offset, length).catch(async () => {
    for (let at = offset; at < offset + length; at += PIECE_BYTES) {
      if (failed.length === FAILURES_MAX) return
      await target.zero(at, Math.min(PIECE_BYTES, offset + length - at)).catch(note)
    }
  })
  await target.sync().catch(note)
  return failed
}
