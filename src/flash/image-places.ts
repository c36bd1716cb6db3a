/**
 * Where the partitions of an image lie on its disk, for mounting them and for booting from them.
 *
 * 1. From the signed manifest alone; no table of the disk is parsed.
 * 2. The root is the one that the boot entry names. Its file system has the image's size: it grows
 *    when the system itself starts.
 *
 * Pure.
 */
import { createHash } from 'node:crypto'
import { OsflashError } from '../errors.ts'
import type { BootEntry, Manifest, Partition } from '../format/manifest.ts'
import type { StartFacts } from './plan/plan.ts'

/** Type GUID of an EFI system partition. */
const ESP_TYPE_GUID = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'

export interface RootPlace {
  readonly number: number
  /** In bytes from the start of the disk. */
  readonly offset: number
  /** In bytes. */
  readonly length: number
  readonly fileSystem: string
  readonly uuid: string
  readonly boot: BootEntry
}

/** @throws OsflashError `refused` when the image does not say what it boots from */
export function rootPlace(manifest: Manifest): RootPlace {
  const { boot, disk } = manifest
  const root = disk?.partitions.find(({ number }) => number === boot?.rootPartition)
  const { kind, uuid } = root?.fileSystem ?? {}
  if (boot === undefined || disk === undefined || root === undefined || !kind || !uuid) {
    throw new OsflashError(
      'refused',
      `reading ${manifest.name}: it does not say where its root is`,
      {
        hints: ['build it with osflash build, from a recipe with a root partition and a kernel'],
      },
    )
  }
  const { sectorBytes } = disk
  const { number, firstLba, sectors } = root
  const place = { number, offset: firstLba * sectorBytes, length: sectors * sectorBytes }
  return { ...place, fileSystem: kind, uuid, boot }
}

/** The EFI system partition; `undefined` where the image has none. */
const espOf = (manifest: Manifest): Partition | undefined =>
  manifest.disk?.partitions.find(({ type }) => type === ESP_TYPE_GUID)

/**
 * How the system of an image is started.
 * @throws OsflashError `refused` as `rootPlace`
 */
export function startOf(manifest: Manifest): StartFacts {
  const { uuid, boot } = rootPlace(manifest)
  const esp = espOf(manifest)
  const { kernel, initrd, commandLine } = boot
  return {
    rootUuid: uuid,
    kernel,
    ...(initrd === undefined ? {} : { initrd }),
    commandLine,
    ...(esp?.guid === undefined
      ? {}
      : {
          esp: {
            number: esp.number,
            guid: esp.guid,
            firstLba: esp.firstLba,
            sectors: esp.sectors,
          },
        }),
  }
}

/** By which the plan names an image: SHA-256, lower-case hex. */
export const manifestDigest = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')
