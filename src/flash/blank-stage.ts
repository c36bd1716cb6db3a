/**
 * The stage disk blank again: nothing on it starts, and no secret of the host is left in a rescue.
 *
 * 1. The disk is found again by what it is.
 * 2. The whole rescue is overwritten first (it has the host's keys), and last both ends of the
 *    disk and the start of the store: a cut before that leaves something to begin again with.
 * 3. The kernel forgets the partitions.
 *
 * Not promised: that the packed target in the middle of the store is overwritten; it is encrypted.
 * Secrets of the store are erased before (erase.ts), or all of it goes (`makeBlankAfter`), as far
 * as the disk takes it: a bad sector keeps nobody from a stage that starts nothing.
 */
import { messageOf } from '../errors.ts'
import type { Emit } from '../events.ts'
import { run } from '../system/run.ts'
import { MIB } from '../units.ts'
import { lookAtTarget, openTarget } from '../unpack/target.ts'
import { resolveDisk } from './host/disks.ts'
import type { FlashPlan } from './plan/plan.ts'

/** Tables, their copies, and what RAID and LVM write lie within this distance of the ends. */
const END_BYTES = 4 * MIB

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
  if (left === undefined) return makeBlank(plan)
  emit?.({ event: 'note', text: `${left}; all of the store is overwritten instead` })
  try {
    await makeAllBlank(plan)
  } catch (error) {
    await makeBlank(plan)
    const text = `${messageOf(error)}; the stage starts nothing, but secrets may be left on it`
    emit?.({ event: 'note', text })
  }
}

/** May be called again. @throws OsflashError `refused` when the disk is in use or gone, `io` */
export async function makeBlank({ stage, store }: Stage): Promise<void> {
  const path = await resolveDisk(stage, { tableId: 'ignore' })
  await overwrite(path, store.offset)
  // Where there is no partx, the next start of the host forgets them.
  await run(['partx', '--delete', path], { statuses: [0, 1] }).catch(() => undefined)
}

/**
 * The store too: where its secrets lie is not known, or they cannot be erased.
 * @throws OsflashError `refused` when the disk is in use or gone, `io`
 */
const makeAllBlank = ({ stage, store }: Stage): Promise<void> =>
  makeBlank({ stage, store: { offset: store.offset + store.bytes, bytes: 0 } })

async function overwrite(path: string, storeOffset: number): Promise<void> {
  const options = { path, leastBytes: 0, overwrite: true, resume: false }
  await using target = await openTarget(options, await lookAtTarget(options), false)
  const endOf = (offset: number): number => Math.min(target.bytes, offset)
  const rescueEnd = endOf(storeOffset)
  const first = Math.min(MIB, rescueEnd)
  await target.zero(first, rescueEnd - first)
  await target.sync()
  const last = Math.max(0, target.bytes - END_BYTES)
  await target.zeroAll([
    { offset: rescueEnd, length: endOf(storeOffset + END_BYTES) - rescueEnd },
    { offset: last, length: target.bytes - last },
    { offset: 0, length: first },
  ])
  await target.sync()
}
