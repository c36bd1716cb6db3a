import { copyFile, mkdir, open, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { encodeGpt } from '../../../src/format/gpt.ts'
import type { DiskLayout, Partition } from '../../../src/format/manifest.ts'
import { importSource } from '../../../src/pack/build/import.ts'
import { type ProbedRegion, probeRegion } from '../../../src/pack/build/probe.ts'
import { draftManifest } from '../../../src/pack/image/describe.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { MIB } from '../../../src/units.ts'
import { EPOCH } from './tiny.ts'

const BYTES = 24 * MIB
const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4'
const DESCRIPTION = {
  name: 'imported',
  sequence: 3,
  os: { family: 'other' },
  architecture: 'x86_64',
} as const
const PACKING = { codec: 'zstd', aead: 'ocb', chunkOctet: 12 } as const

async function bareExt4(folder: string): Promise<string> {
  const disk = join(folder, 'disk.raw')
  await run(['/sbin/mke2fs', '-q', '-t', 'ext4', disk, '24M'])
  return disk
}

async function probed(
  path: string,
  folder: string,
  region = { offset: 0, length: BYTES },
): Promise<ProbedRegion> {
  const context = { scratch: folder, emit: () => undefined, sourceDateEpoch: EPOCH }
  return probeRegion(path, region, context)
}

async function write(path: string, content: string | Uint8Array, position: number): Promise<void> {
  await using file = await open(path, 'r+')
  await file.write(Buffer.from(content), 0, undefined, position)
}

const LAST_SECTOR = BYTES - 512
const ENTRIES_AT = 446
/** A boot flag that is none: blkid then names no table, while other systems may. */
const ODD_MBR = Buffer.alloc(66).fill(0x7f, 0, 1).fill(0x83, 4, 5).fill(1, 8, 16)
ODD_MBR.set([0x55, 0xaa], 64)

describe('ext4 has no unused blocks', () => {
  test.each([
    ['the mark of an MBR without entries', Buffer.from([0x55, 0xaa]), 510],
    ['an MBR that blkid takes for none', ODD_MBR, ENTRIES_AT],
    ['a GPT header in the second sector of 512 bytes', 'EFI PART', 512],
    ['a GPT header in the second sector of 4,096 bytes', 'EFI PART', 4_096],
    ['a GPT header in the last sector of 512 bytes', 'EFI PART', LAST_SECTOR],
    ['a GPT header in the last sector of 4,096 bytes', 'EFI PART', BYTES - 4_096],
    ['the mark of btrfs, which makes two of them', '_BHRfS_M', 64 * 1_024 + 64],
  ])('where there is %s', async (_, mark, position) => {
    await using scratch = await makeScratch('probe-test')
    const disk = await bareExt4(scratch.path)
    expect((await probed(disk, scratch.path)).unused).not.toEqual([])
    await write(disk, mark, position)
    expect((await probed(disk, scratch.path)).unused).toEqual([])
  })

  test('where a partition itself begins with a table', async () => {
    await using scratch = await makeScratch('probe-test')
    const inner = await bareExt4(scratch.path)
    const disk = join(scratch.path, 'outer.raw')
    const place = [`if=${inner}`, `of=${disk}`, 'bs=1M', 'seek=1', 'status=none'] as const
    const region = { offset: MIB, length: BYTES }
    await run(['dd', ...place])
    expect((await probed(disk, scratch.path, region)).unused).not.toEqual([])
    const table = Buffer.from('label: dos\nstart=8MiB, size=12MiB, type=83\n')
    await run(['/sbin/sfdisk', '--quiet', '--wipe', 'never', inner], { stdin: table })
    await run(['dd', ...place])
    const { fileSystem, unused } = await probed(disk, scratch.path, region)
    expect([fileSystem?.kind, unused]).toEqual(['ext4', []])
  })

  test('where it claims more bytes than the region has', async () => {
    await using scratch = await makeScratch('probe-test')
    const disk = await bareExt4(scratch.path)
    const short = { offset: 0, length: BYTES - MIB }
    const { fileSystem, unused } = await probed(disk, scratch.path, short)
    expect([fileSystem?.kind, unused]).toEqual(['ext4', []])
  })
})

test('a copy is made only where dumpe2fs cannot read the place', async () => {
  await using scratch = await makeScratch('probe-test')
  const disk = await bareExt4(scratch.path)
  const asked = join(scratch.path, 'what?.raw')
  await copyFile(disk, asked)
  // Cut off: blkid still finds the superblock, dumpe2fs fails.
  await truncate(disk, MIB)
  const context = join(scratch.path, 'context')
  await mkdir(context)
  // A file that came and went leaves its mark in the folder's time.
  const copied = async (path: string, length: number): Promise<boolean> => {
    await utimes(context, EPOCH, EPOCH)
    const { fileSystem } = await probed(path, context, { offset: 0, length })
    expect(fileSystem?.kind).toBe('ext4')
    return (await stat(context)).mtimeMs !== EPOCH * 1000
  }
  expect(await copied(disk, MIB)).toBe(false)
  expect(await copied(asked, BYTES)).toBe(true)
})

test('partitions that overlap are refused before anything is packed', async () => {
  await using scratch = await makeScratch('probe-test')
  const disk = join(scratch.path, 'disk.raw')
  const partition = (number: number, firstLba: number): Partition => ({
    number,
    name: `part-${number}`,
    type: LINUX,
    guid: `0000000${number}-0000-4000-8000-000000000000`,
    firstLba,
    sectors: 8_192,
    grow: false,
  })
  const source = async (partitions: readonly Partition[]) => {
    const layout: DiskLayout = {
      sectorBytes: 512,
      minimumBytes: BYTES,
      table: { kind: 'gpt', guid: '00000000-0000-4000-8000-000000000000' },
      partitions: [...partitions],
    }
    await writeFile(disk, encodeGpt(layout, BYTES / 512).head)
    await truncate(disk, BYTES)
    const context = { scratch: scratch.path, emit: () => undefined, sourceDateEpoch: EPOCH }
    return importSource(disk, DESCRIPTION, context)
  }
  const apart = await source([partition(1, 2_048), partition(2, 10_240)])
  expect(draftManifest(apart, PACKING).length).toBeGreaterThan(0)
  const across = await source([partition(1, 2_048), partition(2, 10_232)])
  expect(() => draftManifest(across, PACKING)).toThrow('overlaps what lies before it')
})
