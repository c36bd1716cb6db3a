/**
 * The operator's GO and HOLD: an empty file each on the store, which the rescue looks for.
 *
 * 1. Only in the rescue: its store is mounted, and its SSH is what proves that it is reached.
 * 2. GO only while something may wait for it: a GO that is left lying would start the next run.
 * 3. The one takes back the other.
 */
import { join } from 'node:path'
import { OsflashError } from '../errors.ts'
import { removeFileSafely, writeFileSafely } from './durable-file.ts'
import { openJournal } from './journal.ts'
import { STORE, STORE_MOUNT } from './places.ts'
import type { State } from './states.ts'
import { mountStore } from './store.ts'
import { findStore } from './systems.ts'

const BEFORE_COMMIT: readonly State[] = ['staged', 'armed', 'rehearsal']

/**
 * @param root of the system; other than `/` only in tests
 * @returns the state in which it was given
 * @throws OsflashError `refused` outside of the rescue, or when nothing waits for GO
 */
export async function giveOrder(order: 'go' | 'hold', root = '/'): Promise<State> {
  const found = await findStore(root)
  if (found?.system !== 'rescue') {
    throw new OsflashError('refused', `giving the order ${order}: this is not the rescue`, {
      hints: ['osflash status'],
    })
  }
  await using store = await mountStore({ uuid: found.storeUuid, at: join(root, STORE_MOUNT) })
  const { current } = await openJournal(store.path, { system: 'rescue' })
  const state = current?.state ?? 'held'
  if (order === 'go' && !BEFORE_COMMIT.includes(state)) {
    throw new OsflashError('refused', `giving the order go: nothing waits for it (${state})`, {
      hints: ['osflash status', 'osflash resume goes on where the rescue holds'],
    })
  }
  const [given, other] = order === 'go' ? [STORE.go, STORE.hold] : [STORE.hold, STORE.go]
  await removeFileSafely(join(store.path, other))
  await writeFileSafely(join(store.path, given), '', 0o600)
  return state
}
