/**
 * A rescue that starts again although the run has ended, or never left the first OS.
 *
 * 1. Confirmed: the firmware lost the order, or a cut came in the middle. The target becomes what
 *    boots again; by itself once, for firmware that forgets it again would have the host start for
 *    ever. Then the secrets that a cut left are erased, also where the firmware refuses.
 * 2. Aborted, or still being staged: the host belongs to its first OS. Behind a guard that this
 *    rescue put there it holds; else it stays only where somebody can log in.
 *
 * Not promised: that the firmware keeps what it is told.
 */
import { join } from 'node:path'
import type { Emit } from '../../events.ts'
import { exists } from '../../system/exists.ts'
import type { RescueBoot } from '../boot/method.ts'
import { writeFileSafely } from '../durable-file.ts'
import type { Journal } from '../journal.ts'
import { STORE } from '../places.ts'
import type { Outside } from './lost.ts'
import { eraseOrTell, type RescueActs, type RescueOutcome } from './machine.ts'

export interface Ended extends Outside {
  /** Started by the rescue itself. */
  readonly atBoot: boolean
  /** Where the store is mounted. */
  readonly store: string
  readonly boot: Pick<RescueBoot, 'hasGuard' | 'confirm' | 'release'>
  readonly erase: RescueActs['erase']
  readonly emit: Emit
}

/** @throws OsflashError `io`, `readback` */
export async function afterConfirmation(ended: Ended): Promise<RescueOutcome> {
  try {
    return await restore(ended)
  } finally {
    await eraseOrTell(ended, ended.emit)
  }
}

async function restore({ atBoot, emit, store, boot }: Ended): Promise<RescueOutcome> {
  const restored = join(store, STORE.restored)
  // An operator may try as often as it takes.
  if ((await boot.hasGuard()) && (!atBoot || !(await exists(restored)))) {
    await writeFileSafely(restored, '', 0o600)
    emit({ event: 'note', text: 'the target is confirmed: it becomes what boots again' })
    await boot.confirm()
    return 'rebooting'
  }
  emit({ event: 'note', text: 'the replacement is confirmed: there is nothing to go on with' })
  return 'held'
}

/** @throws OsflashError `io`, `readback` */
export async function afterAbort(journal: Journal, ended: Ended): Promise<RescueOutcome> {
  const { emit, atBoot, store, boot, alive } = ended
  const isIntended = await exists(join(store, STORE.intent))
  if (isIntended && (await boot.hasGuard())) {
    if (journal.current?.state === 'aborted') {
      await journal.write({ state: 'held', error: 'aborted behind the guard' })
    }
    await alive()
    return 'held'
  }
  await boot.release()
  if (atBoot && !(await ended.isReachable())) return 'rebooting'
  await alive()
  const state = journal.current?.state
  emit({ event: 'note', text: `the replacement is ${state}; a reboot starts the first OS` })
  return 'held'
}
