/**
 * Arming: the next boot is the rescue, once.
 *
 * 1. What stands in the boot configuration is durable on the store before it is changed. What an
 *    earlier arming left, whole or in half, is undone first.
 * 2. The boot method arms and reads back.
 * 3. The journal says `armed`. A cut before that is no harm: the rescue takes `staged` as well.
 */
import { join } from 'node:path'
import { readBackup } from '../arm-backup.ts'
import type { FirstOsBoot } from '../boot/method.ts'
import { removeFileSafely, writeFileSafely } from '../durable-file.ts'
import type { Journal } from '../journal.ts'
import { STORE } from '../places.ts'

export interface Arming {
  /** Where the store is mounted. */
  readonly store: string
  readonly journal: Journal
  readonly boot: FirstOsBoot
}

/** @throws OsflashError `refused`, `io`, `readback`; `osflash abort` undoes what was done */
export async function armRescue({ store, journal, boot }: Arming): Promise<void> {
  // Orders of an earlier try are not for this one.
  for (const name of [STORE.go, STORE.hold, STORE.intent]) await removeFileSafely(join(store, name))
  const path = join(store, STORE.armBackup)
  const earlier = await readBackup(path)
  if (earlier !== undefined) await boot.disarm(earlier)
  await writeFileSafely(path, `${JSON.stringify(await boot.backup())}\n`, 0o600)
  await boot.arm()
  await journal.write({ state: 'armed' })
}
