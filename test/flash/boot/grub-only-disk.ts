/**
 * Disks that hold GRUB and nothing else: they start in two seconds, also without KVM.
 *
 * 1. Partition 1 holds the core image, partition 2 an ext4 file system with the files given.
 * 2. Boot code and core image are made as an image's are.
 */
import { mkdir, open, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { encodeGpt } from '../../../src/format/gpt.ts'
import type { DiskLayout } from '../../../src/format/manifest.ts'
import { makeBiosBoot } from '../../../src/pack/build/grub.ts'
import { earlyConfig } from '../../../src/pack/build/grub-config.ts'
import { run } from '../../../src/system/run.ts'
import { MIB } from '../../../src/units.ts'
import { CORE_LBA } from './grub-disk.ts'

export const DISK_BYTES = 16 * MIB
export const ROOT_OFFSET = 2 * MIB
export const ROOT_BYTES = 12 * MIB

export interface GrubOnlyDisk {
  /** A new folder; the disk is `disk.img` in it, the tree of files `root`. */
  readonly folder: string
  readonly uuid: string
  readonly files: Readonly<Record<string, string | Uint8Array>>
  /** Called with the tree before it becomes a file system. */
  readonly change?: (root: string) => Promise<void>
}

/** Makes the disk and returns its path. */
export async function makeGrubOnlyDisk(disk: GrubOnlyDisk): Promise<string> {
  const { folder, uuid } = disk
  const root = join(folder, 'root')
  for (const [path, bytes] of Object.entries(disk.files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), bytes)
  }
  await disk.change?.(root)
  const request = { root: '/nonexistent', earlyConfig: earlyConfig(uuid) }
  const context = { scratch: folder, emit: () => undefined, sourceDateEpoch: 0 }
  const { bootCode, core } = await makeBiosBoot(request, CORE_LBA, context)
  const { head, tail } = encodeGpt(layout(bootCode), DISK_BYTES / 512)
  const path = join(folder, 'disk.img')
  await writeFile(path, head)
  await using file = await open(path, 'r+')
  await file.write(core, 0, core.length, CORE_LBA * 512)
  await file.write(tail, 0, tail.length, DISK_BYTES - tail.length)
  const features = 'none,has_journal,ext_attr,filetype,extent,64bit,metadata_csum'
  const offset = `offset=${ROOT_OFFSET}`
  const size = `${ROOT_BYTES / 1024}k`
  const words = ['-q', '-F', '-t', 'ext4', '-b', '4096', '-O', features, '-E', offset, '-U', uuid]
  await run(['mke2fs', ...words, '-J', 'size=4', '-d', root, path, size], {
    env: { MKE2FS_CONFIG: '/dev/null' },
  })
  return path
}

function layout(bootCode: Uint8Array): DiskLayout {
  const partition = (number: number, firstLba: number, sectors: number) => ({
    number,
    name: `p${number}`,
    type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
    guid: `00000000-0000-0000-0000-00000000000${number}`,
    firstLba,
    grow: false,
    sectors,
  })
  return {
    sectorBytes: 512,
    minimumBytes: DISK_BYTES,
    table: {
      kind: 'gpt',
      guid: '11111111-2222-3333-4444-555555555555',
      bootCode: Buffer.from(bootCode).toString('base64'),
    },
    partitions: [
      partition(1, CORE_LBA, (ROOT_OFFSET - MIB) / 512),
      partition(2, ROOT_OFFSET / 512, ROOT_BYTES / 512),
    ],
  }
}
