/**
 * `osflash abort` in the rescue: back to the first OS, behind the guard, before anything was wiped.
 *
 * 1. Only in `committed`, or where the rescue holds; and only when the rescue had not begun to
 *    wipe, which it writes down before the first byte.
 * 2. The journal says `aborted` first: a cut before the guard is gone ends in a rescue that holds,
 *    one behind it in a first OS that knows how to clean up.
 * 3. The guard goes, read back. When that fails the rescue holds again.
 *
 * Not promised: anything once the wiping was begun; the first OS is not whole then.
 */
import { join } from 'node:path'
import { messageOf, OsflashError } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { holdLock } from '../../system/lock.ts'
import type { ReversibleBoot } from '../boot/method.ts'
import { removeFileSafely } from '../durable-file.ts'
import { resolveDisk } from '../host/disks.ts'
import type { Journal } from '../journal.ts'
import { makeNotifier } from '../notify.ts'
import { STORE } from '../places.ts'
import { mountStore, readPlan } from '../store.ts'
import { findStore } from '../systems.ts'
import { rescueBoot } from './boot.ts'
import { openOrRenew } from './new-journal.ts'
import { settlePlan } from './new-target.ts'
import { RESUME_LOCK, reboot } from './resume.ts'
import { savedStart } from './way-back.ts'

/**
 * Takes the guard back and reboots.
 * @throws OsflashError `refused` outside of the rescue, while it is at work, when it wiped; `io`,
 *   `readback`: the rescue holds then
 */
export async function goBack(emit: Emit): Promise<void> {
  const found = await findStore()
  if (found?.system !== 'rescue') throw refused('this is not the rescue')
  {
    await using _lock = await holdLock(RESUME_LOCK, 'going back to the first OS')
    await using store = await mountStore({ uuid: found.storeUuid, emit })
    const journal = await openOrRenew({
      store: store.path,
      stagedDigest: found.planDigest,
      isAsked: true,
      makeBoot: rescueBoot,
    })
    await settlePlan(store.path, journal)
    const plan = await readPlan(store.path)
    const findDisk = () => resolveDisk(plan.disk, { tableId: 'check' })
    await takeBack({ store: store.path, journal, boot: await rescueBoot(plan), findDisk })
    if (journal.current !== undefined) await makeNotifier(plan, emit)(journal.current)
  }
  await reboot()
}

export interface Guarded {
  /** Where the store is mounted. */
  readonly store: string
  readonly journal: Journal
  readonly boot: Pick<ReversibleBoot, 'hasGuard' | 'unguard'>
  /** Throws unless the disk is still that of the first OS. */
  readonly findDisk: () => Promise<unknown>
}

/** @throws OsflashError `refused`, `io`, `readback` */
export async function takeBack({ store, journal, boot, findDisk }: Guarded): Promise<void> {
  const saved = await savedStart(store, journal.current?.state)
  if (typeof saved === 'string') throw refused(saved)
  await findDisk()
  await journal.write({ state: 'aborted' })
  try {
    await boot.unguard(saved)
    if (await boot.hasGuard()) throw refused('the host still starts the rescue')
  } catch (error) {
    const why = messageOf(error)
    await journal.write({ state: 'held', error: why })
    throw error
  }
  for (const name of [STORE.intent, STORE.go, STORE.hold]) await removeFileSafely(join(store, name))
}

function refused(why: string): OsflashError {
  return new OsflashError('refused', `going back to the first OS: ${why}`, {
    hints: ['osflash status says what can be done'],
  })
}
