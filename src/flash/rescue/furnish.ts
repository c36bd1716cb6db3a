/**
 * Makes the target that was just written this host's: before it ever starts.
 *
 * 1. Its root is mounted from the disk, where the signed manifest says it is.
 * 2. The carry goes in: address, host keys, logins.
 * 3. The trial agent goes in, with what it must see before it confirms, and a command line that
 *    makes a panic reboot.
 * 4. Checked inside the target: sshd takes its configuration, the host keys are the old ones.
 * 5. Unmounted and flushed, so that what was checked is what starts.
 */

import { join } from 'node:path'
import type { Manifest } from '../../format/manifest.ts'
import { applyCarry } from '../carry/apply.ts'
import { checkCarry } from '../carry/check.ts'
import { rootPlace } from '../image-places.ts'
import { mountPartition } from '../mounted-root.ts'
import { STORE } from '../places.ts'
import { injectTrial } from '../trial/inject.ts'
import { readSequences } from '../trial/sequences.ts'
import type { RescueHost } from './host.ts'

const MOUNT_POINT = '/run/osflash/target'

export interface WrittenTarget {
  /** Path of the disk. */
  readonly disk: string
  readonly manifest: Manifest
}

/** @throws OsflashError `refused`, `io`, `process`; may be called again */
export async function furnishTarget(host: RescueHost, target: WrittenTarget): Promise<void> {
  const { plan, carry, emit } = host
  const { manifest, disk } = target
  const signal = host.signal === undefined ? {} : { signal: host.signal }
  const place = rootPlace(manifest)
  await using root = await mountPartition({ ...place, disk, at: MOUNT_POINT }, signal)
  await applyCarry({
    root: root.path,
    network: manifest.os.network ?? 'networkd',
    carry,
    folder: join(host.store, STORE.carry),
  })
  const { notes } = await injectTrial({
    root: root.path,
    plan,
    planDigest: host.planDigest,
    storeUuid: host.storeUuid,
    rescueRootUuid: host.rescueRootUuid,
    reach: carry.reach,
    boot: await host.boot.confirmSettings(),
    // A host that never took an image has no such file.
    sequences: await readSequences(join(host.store, STORE.sequences)),
  })
  for (const text of notes) emit({ event: 'note', text })
  await checkCarry({ root: root.path, carry })
}
