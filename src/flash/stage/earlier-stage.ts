/**
 * The stage of an earlier run that is taken again: what it holds of its host is overwritten first.
 *
 * 1. A disk with a store that is not this run's has such a stage; any other is left as it is.
 * 2. Secrets of the store go first, then all that lies before it: the rescue has the host's keys,
 *    and the new rescue may be smaller than the old one.
 * 3. A cut in between leaves a stage that is known again, or a blank start. So does a disk that
 *    does not take all zeros: no run gets past it. What `abort` undid before is told, not refused.
 *
 * Not promised: files of a store that cannot be mounted any more.
 */
import { OsflashError } from '../../errors.ts'
import { makeBlank } from '../blank-stage.ts'
import { eraseSecrets } from '../erase.ts'
import { matchDisk } from '../host/disk-identity.ts'
import { listDisks, probe } from '../host/disks.ts'
import { STORE_LABEL } from '../places.ts'
import type { DiskIdentity } from '../plan/plan.ts'
import { mountStore, unmountLeft } from '../store.ts'

/** blkid counts in sectors of this size, whatever the disk has. */
const PROBE_SECTOR_BYTES = 512

/**
 * Clears an earlier stage. May be called again.
 * @param partitionUuid of this run's store; a stage that has it is left as it is
 * @param at where the store is mounted; other than the default only in tests
 * @throws OsflashError `refused` when the disk is in use or gone, `io`
 */
export async function clearEarlierStage(
  stage: DiskIdentity,
  partitionUuid: string,
  at?: string,
): Promise<void> {
  const earlier = await findEarlier(stage, partitionUuid)
  if (earlier === undefined) return
  await unmountLeft(at)
  if (earlier.uuid !== undefined) await eraseStore(earlier.uuid, at)
  await makeBlank({ stage, store: earlier })
}

interface EarlierStore {
  /** Of its file system; none where that was never made, or is gone. */
  readonly uuid: string | undefined
  /** On the disk, bytes. */
  readonly offset: number
  readonly bytes: number
}

async function findEarlier(
  stage: DiskIdentity,
  partitionUuid: string,
): Promise<EarlierStore | undefined> {
  const { node } = matchDisk(await listDisks(), stage, 'ignore')
  for (const { path, bytes } of node.children) {
    const tags = await probe(path)
    if (tags.get('PART_ENTRY_NAME') !== STORE_LABEL) continue
    if (tags.get('PART_ENTRY_UUID')?.toLowerCase() === partitionUuid) return undefined
    const offset = Number(tags.get('PART_ENTRY_OFFSET')) * PROBE_SECTOR_BYTES
    return { uuid: tags.get('UUID'), offset, bytes }
  }
  return undefined
}

async function eraseStore(uuid: string, at: string | undefined): Promise<void> {
  let store: Awaited<ReturnType<typeof mountStore>>
  try {
    store = await mountStore(at === undefined ? { uuid } : { uuid, at })
  } catch (error) {
    if (error instanceof OsflashError && error.code !== 'cancelled') return
    throw error
  }
  await using mounted = store
  await eraseSecrets(mounted.path)
}
