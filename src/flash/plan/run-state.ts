/**
 * Whether a replacement is under way on this host: one by another process, or one that waits for
 * its reboot.
 *
 * 1. The lock goes to one process of this host at a time.
 * 2. The journal on the store of an earlier run says how far that came. A store that is not there
 *    any more is no run.
 * 3. A target that is confirmed needs its store no more: a damaged one keeps nobody from the next
 *    replacement.
 */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../../errors.ts'
import { holdLock } from '../../system/lock.ts'
import { openJournal } from '../journal.ts'
import type { State } from '../states.ts'
import { isStoreMissing, mountStore } from '../store.ts'
import { currentSystem, type FoundStore, findStore } from '../systems.ts'
import { UNIT_LINK } from '../trial/trial-places.ts'
import { checkNothingUnderWay, checkSystem } from './check-host.ts'
import type { BegunRun } from './our-stage.ts'

/**
 * Keeps every other `plan`, `apply` away until it is disposed of.
 * @param host other than the default only in tests
 * @throws OsflashError `refused` while another process has it
 */
export const holdReplacement = (host = 'this host'): Promise<AsyncDisposable> =>
  holdLock(`osflash: replacement of ${host}`, 'replacing the operating system')

/**
 * @param root of the system; other than `/` only in tests
 * @throws OsflashError `refused` when a run is armed or further; `format`, `io`
 */
export async function checkNoRun(root = '/'): Promise<void> {
  checkSystem(await currentSystem(root))
  checkNothingUnderWay(await stateOfRun(root))
}

/**
 * The run that this first OS has begun and not undone.
 * @param root of the system; other than `/` only in tests
 * @throws OsflashError `format`, `io`
 */
export async function begunRun(root = '/'): Promise<BegunRun | undefined> {
  const found = await findStore(root)
  if (found?.system !== 'first-os' || found.planDigest === undefined) return undefined
  return { planDigest: found.planDigest, victims: found.victims, stage: found.stage }
}

async function stateOfRun(root: string): Promise<State | undefined> {
  const found = await findStore(root)
  if (found === undefined) return undefined
  try {
    await using store = await mountStore({ uuid: found.storeUuid, readOnly: true })
    return (await openJournal(store.path, { system: found.system })).current?.state
  } catch (error) {
    if (isStoreMissing(error)) return undefined
    if (isDamage(error) && (await isConfirmedTarget(found, root))) return 'confirmed'
    throw error
  }
}

/** The journal is none, or the file system cannot be mounted. */
const isDamage = (error: unknown): boolean =>
  error instanceof OsflashError && (error.code === 'format' || error.code === 'process')

/**
 * Asked of the target alone, not of its store: the agent takes its unit away last of all.
 * @throws OsflashError `io`
 */
export async function isConfirmedTarget({ system }: FoundStore, root: string): Promise<boolean> {
  if (system !== 'target') return false
  const link = join(root, UNIT_LINK)
  try {
    await lstat(link)
    return false
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return true
    throw ioError(`looking for ${link}`, cause)
  }
}
