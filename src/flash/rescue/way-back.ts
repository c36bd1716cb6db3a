/**
 * Whether there is a way back behind the guard: the first OS is whole, its boot code is known.
 *
 * 1. The rescue saves what the guard takes the place of (`STORE.guardBackup`) before the guard.
 * 2. It writes `STORE.wiping` before the first byte is erased, and never takes that away.
 *
 * Changes nothing. Going back is back.ts.
 */
import { join } from 'node:path'
import { exists } from '../../system/exists.ts'
import { readBackup } from '../arm-backup.ts'
import type { ArmBackup } from '../boot/method.ts'
import { STORE } from '../places.ts'
import type { State } from '../states.ts'

const REVERSIBLE: readonly (State | undefined)[] = ['committed', 'held']

/**
 * What the guard took the place of, or why there is no way back.
 * @throws OsflashError `io`, `format`
 */
export async function savedStart(store: string, state?: State): Promise<ArmBackup | string> {
  if (!REVERSIBLE.includes(state)) return `the state is ${state ?? 'unknown'}`
  if (await exists(join(store, STORE.wiping))) return 'its disk was wiped'
  const saved = await readBackup(join(store, STORE.guardBackup))
  return saved ?? 'nobody knows what the guard took the place of'
}

/** For the status: whether `osflash abort` would go back. */
export const canGoBack = async (store: string, state: State): Promise<boolean> =>
  typeof (await savedStart(store, state).catch(() => '')) !== 'string'
