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
import { emptyEnvironment } from '../boot/grub-environment.ts'
import { stageConfig } from '../boot/stage-config.ts'
import { applyCarry } from '../carry/apply.ts'
import type { Carry } from '../carry/model.ts'
import { missingModules } from '../host/modules.ts'
import { rootPlace } from '../image-places.ts'
import { writeInside } from '../inside-root.ts'
import { mountPartition } from '../mounted-root.ts'
import { RESCUE } from '../places.ts'

const MOUNT_POINT = '/run/osflash/rescue'

/** What the rescue reads first. */
export interface StageFacts {
  readonly storeUuid: string
  readonly planDigest: string
}

export interface RescueRoot {
  /** Path of the stage's disk. */
  readonly disk: string
  readonly manifest: Manifest
  readonly carry: Carry
  readonly carryFolder: string
  /** Kernel modules without which the rescue would not see its disk or its network. */
  readonly modules: readonly string[]
  readonly facts: StageFacts
  readonly signal?: AbortSignal
}

/** @throws OsflashError `refused` (a module is missing, carry not possible), `io`, `process` */
export async function furnishRescue(rescue: RescueRoot): Promise<void> {
  const { disk, manifest, facts } = rescue
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
  const config = stageConfig({
    rootUuid: place.uuid,
    kernel: place.boot.kernel,
    initrd: place.boot.initrd,
    commandLine: place.boot.commandLine,
  })
  const stageFacts = { format: 'osflash-stage/1', rescueRootUuid: place.uuid, ...facts }
  const files = [
    { path: RESCUE.grubConfig, bytes: config },
    { path: RESCUE.grubEnvironment, bytes: emptyEnvironment() },
    { path: RESCUE.stageFacts, bytes: `${JSON.stringify(stageFacts)}\n` },
  ]
  for (const file of files) await writeInside(root.path, { ...file, mode: 0o644 })
}
