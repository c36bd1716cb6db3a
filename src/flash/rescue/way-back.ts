/**
 * Whether there is a way back behind the guard: the first OS is whole, its boot code is known.
 *
 * 1. The rescue saves what the guard takes the place of (`STORE.guardBackup`) before the guard.
 * 2. It writes `STORE.wiping` before the first byte is erased, and never takes that away.
 *
 * Changes nothing. Going back is back.ts.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, ioError } from '../../errors.ts'
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
  if (await isThere(join(store, STORE.wiping))) return 'its disk was wiped'
  const saved = await readBackup(join(store, STORE.guardBackup))
  return saved ?? 'nobody knows what the guard took the place of'
}

/** For the status: whether `osflash abort` would go back. */
export const canGoBack = async (store: string, state: State): Promise<boolean> =>
  typeof (await savedStart(store, state).catch(() => '')) !== 'string'

/** Who cannot look must not be told that nothing was wiped. */
async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return false
    throw ioError(`looking for ${path}`, cause)
  }
}
