/**
 * Makes an unpacked rescue the rescue of this host.
 *
 * 1. Its root is mounted from the disk that was just written.
 * 2. It must hold every kernel module that the first OS uses for its disk and its network.
 * 3. It gets the carry (address, host keys, root's login), so that it answers as the host does.
 * 4. It gets the stage's boot menu, an environment block, and a file that says where the store is.
 *
 * May be done again. Not promised: that the rescue boots; the rehearsal shows that.
 */
import { OsflashError } from '../../errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { stageBootFiles } from '../boot/stage-config.ts'
import { applyCarry } from '../carry/apply.ts'
import type { Carry } from '../carry/model.ts'
import { missingModules } from '../host/modules.ts'
import { rootPlace } from '../image-places.ts'
import { mountPartition } from '../mounted-root.ts'
import { RESCUE } from '../places.ts'
import type { StageFacts } from '../systems.ts'
import { writeInside } from '../write-inside.ts'

const MOUNT_POINT = '/run/osflash/rescue'

export interface RescueRoot {
  /** Path of the stage's disk. */
  readonly disk: string
  readonly manifest: Manifest
  readonly carry: Carry
  readonly carryFolder: string
  /** Kernel modules without which the rescue would not see its disk or its network. */
  readonly modules: readonly string[]
  readonly facts: Pick<StageFacts, 'storeUuid' | 'planDigest'>
  readonly signal?: AbortSignal
}

/** @throws OsflashError `refused` (a module is missing, carry not possible), `io`, `process` */
export async function furnishRescue(rescue: RescueRoot): Promise<void> {
  const { disk, manifest } = rescue
  const place = rootPlace(manifest)
  const signal = rescue.signal === undefined ? {} : { signal: rescue.signal }
  await using root = await mountPartition({ ...place, disk, at: MOUNT_POINT }, signal)
  const missing = await missingModules(root.path, rescue.modules)
  if (missing.length > 0) {
    throw new OsflashError(
      'refused',
      `preparing the rescue: it lacks the kernel modules ${missing.join(', ')}, used by this host`,
      { hints: ['build the rescue with linux-image-amd64 or with firmware packages it needs'] },
    )
  }
  await applyCarry({
    root: root.path,
    network: manifest.os.network ?? 'networkd',
    carry: rescue.carry,
    folder: rescue.carryFolder,
  })
  const stageFacts: StageFacts = {
    format: 'osflash-stage/1',
    rescueRootUuid: place.uuid,
    ...rescue.facts,
  }
  const facts = { path: RESCUE.stageFacts, bytes: `${JSON.stringify(stageFacts)}\n`, mode: 0o644 }
  const { kernel, initrd, commandLine } = place.boot
  for (const file of [...stageBootFiles({ kernel, initrd, commandLine }), facts]) {
    await writeInside(root.path, file)
  }
}
