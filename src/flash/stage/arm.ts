/**
 * Arming: the next boot is the rescue, once.
 *
 * 1. What stands in the boot configuration is durable on the store before it is changed, and once
 *    more in the first OS, with the plan. What an earlier arming left, whole or in half, is undone
 *    first.
 * 2. The boot method arms and reads back.
 * 3. The journal says `armed`. A cut before that is no harm: the rescue takes `staged` as well.
 *
 * Cancelled until 2 begins; what is armed stays so until `osflash abort`.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ioError, OsflashError, throwIfCancelled } from '../../errors.ts'
import { readBackup } from '../arm-backup.ts'
import type { FirstOsBoot } from '../boot/method.ts'
import { removeFileSafely, writeFileSafely } from '../durable-file.ts'
import type { Journal } from '../journal.ts'
import { FIRST_OS, STORE } from '../places.ts'

export interface Arming {
  /** Where the store is mounted. */
  readonly store: string
  readonly journal: Journal
  readonly boot: FirstOsBoot
  /** Root of the system; other than `/` only in tests. */
  readonly root?: string
  readonly signal?: AbortSignal
}

/**
 * @throws OsflashError `cancelled` with nothing armed; `refused`, `io`, `readback`: `osflash abort`
 *   undoes what was done
 */
export async function armRescue(arming: Arming): Promise<void> {
  const { store, journal, boot, root = '/', signal } = arming
  // Orders of an earlier try are not for this one.
  for (const name of [STORE.go, STORE.hold, STORE.intent]) await removeFileSafely(join(store, name))
  const path = join(store, STORE.armBackup)
  const copy = join(root, FIRST_OS.armBackup)
  // The store may have been made anew since.
  const earlier = (await readBackup(path)) ?? (await readBackup(copy))
  if (earlier !== undefined) await boot.disarm(earlier)
  const text = `${JSON.stringify(await boot.backup())}\n`
  await writeFileSafely(join(root, FIRST_OS.plan), await readStoredPlan(store), 0o600)
  for (const place of [copy, path]) await writeFileSafely(place, text, 0o600)
  throwIfCancelled(signal)
  await boot.arm()
  await journal.write({ state: 'armed' })
}

/**
 * Call before the reboot: an operator may have changed his mind when all was armed.
 * @throws OsflashError `cancelled`, which says how the host would boot
 */
export function throwIfCancelledArmed(signal: AbortSignal): void {
  if (!signal.aborted) return
  throw new OsflashError('cancelled', 'cancelled: not rebooted, but the next boot is the rescue', {
    hints: ['osflash abort undoes it', 'systemctl reboot goes on'],
  })
}

function readStoredPlan(store: string): Promise<Buffer> {
  const path = join(store, STORE.plan)
  return readFile(path).catch((cause: unknown) => {
    throw ioError(`reading ${path}`, cause)
  })
}
