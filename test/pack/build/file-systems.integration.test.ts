/**
 * Each maker of file systems on its own: sizes, labels, identifiers, what does not fit.
 */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { BuildContext } from '../../../src/pack/build/context.ts'
import { makeExt4 } from '../../../src/pack/build/ext4.ts'
import { identifiersFor } from '../../../src/pack/build/identifiers.ts'
import { fileSystemUuid, type PartitionJob } from '../../../src/pack/build/partition.ts'
import { makeSwap } from '../../../src/pack/build/swap.ts'
import { measureTree } from '../../../src/pack/build/tree-size.ts'
import { makeVfat } from '../../../src/pack/build/vfat.ts'
import type { FileSystemKind } from '../../../src/pack/recipe/rules.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { byteCount, MIB } from '../../../src/units.ts'
import { askExt4, EPOCH } from './tiny.ts'

const contextIn = (scratch: string): BuildContext => ({
  scratch,
  emit: () => undefined,
  sourceDateEpoch: EPOCH,
})

function jobIn(
  folder: string,
  kind: FileSystemKind,
  more: Partial<PartitionJob> = {},
): PartitionJob {
  const identifiers = identifiersFor('test', {})
  const name = more.name ?? kind
  return {
    path: join(folder, name),
    name,
    uuid: fileSystemUuid(kind, name, identifiers),
    label: undefined,
    identifiers,
    sectorBytes: 512,
    size: 'fit',
    tree: undefined,
    ...more,
  }
}

const blkid = async (path: string, tag: string): Promise<string> =>
  (await run(['/sbin/blkid', '-p', '-o', 'value', '-s', tag, path])).stdout.trim()

describe('ext4', () => {
  test('that fits has room for its tree and some more, also for many small files', async () => {
    await using scratch = await makeScratch('fs-test')
    const tree = join(scratch.path, 'tree')
    await mkdir(tree)
    const names = Array.from({ length: 6_000 }, (_, i) => `file-${i}`)
    for (const name of names) await writeFile(join(tree, name), 'x')
    const context = contextIn(scratch.path)
    const made = await makeExt4(jobIn(scratch.path, 'ext4', { tree }), context)
    const { stdout } = await run(['/sbin/dumpe2fs', '-h', join(scratch.path, 'ext4')])
    const field = (name: string) => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(stdout)?.[1])
    // A last block group of a MiB is too small for mke2fs: the file has it, the file system not.
    expect((await stat(join(scratch.path, 'ext4'))).size).toBe(made.bytes)
    expect(field('Block count') * field('Block size')).toBe(made.bytes - MIB)
    expect(made.bytes % (128 * MIB)).toBe(MIB)
    expect(field('Free inodes')).toBeGreaterThan(1_000)
    expect(field('Free blocks') * 4096).toBeGreaterThan(32 * MIB)
    expect((await measureTree(tree, context)).entries).toBe(6_001)
  })

  test('has no feature that GRUB 2.06 or Debian 12 cannot read', async () => {
    await using scratch = await makeScratch('fs-test')
    const job = jobIn(scratch.path, 'ext4', { size: byteCount(300 * MIB), label: 'data' })
    await makeExt4(job, contextIn(scratch.path))
    const { stdout } = await run(['/sbin/dumpe2fs', '-h', job.path])
    const features = /^Filesystem features: +(.*)$/m.exec(stdout)?.[1] ?? ''
    expect(features).toContain('has_journal')
    expect(features).toContain('resize_inode')
    expect(features).toContain('metadata_csum')
    expect(features).not.toMatch(/orphan_file|metadata_csum_seed|casefold|verity/)
    expect(await blkid(job.path, 'LABEL')).toBe('data')
    expect(stdout).toContain(`Directory Hash Seed:      ${job.identifiers.uuid('hash seed ext4')}`)
  })

  test('keeps a hole of a file and does not count it twice', async () => {
    await using scratch = await makeScratch('fs-test')
    const tree = join(scratch.path, 'tree')
    await mkdir(tree)
    await run(['truncate', '-s', '64M', join(tree, 'hole')])
    await run(['ln', join(tree, 'hole'), join(tree, 'again')])
    const context = contextIn(scratch.path)
    expect((await measureTree(tree, context)).dataBytes).toBe(64 * MIB + 4096)
    const job = jobIn(scratch.path, 'ext4', { tree })
    await makeExt4(job, context)
    expect(await askExt4(job.path, 'stat /hole')).toMatch(/Links: 2 +Blockcount: 0/)
  })
})

describe('vfat', () => {
  test('is FAT32 where it can be, with the serial that the layout names', async () => {
    await using scratch = await makeScratch('fs-test')
    const job = jobIn(scratch.path, 'vfat', { size: byteCount(64 * MIB), label: 'esp' })
    const made = await makeVfat(job, [], contextIn(scratch.path))
    expect(made.bytes).toBe(64 * MIB)
    expect(await blkid(job.path, 'VERSION')).toBe('FAT32')
    expect(await blkid(job.path, 'UUID')).toBe(job.uuid)
    expect(await blkid(job.path, 'LABEL')).toBe('ESP')
    await run(['/sbin/fsck.vfat', '-n', job.path])
  })

  test('on sectors of 4,096 bytes has such sectors', async () => {
    await using scratch = await makeScratch('fs-test')
    const job = jobIn(scratch.path, 'vfat', { size: byteCount(64 * MIB), sectorBytes: 4096 })
    await makeVfat(job, [], contextIn(scratch.path))
    expect((await readFile(job.path)).readUInt16LE(11)).toBe(4096)
  })

  test('holds files in folders, the same bytes twice', async () => {
    await using scratch = await makeScratch('fs-test')
    const from = join(scratch.path, 'program')
    await writeFile(from, 'x'.repeat(5_000))
    const files = ['/EFI/BOOT/BOOTX64.EFI', '/EFI/other/a.cfg'].map((path) => ({ path, from }))
    const context = contextIn(scratch.path)
    const size = byteCount(8 * MIB)
    const first = jobIn(scratch.path, 'vfat', { name: 'esp', size })
    await makeVfat(first, files, context)
    const second = { ...first, path: join(scratch.path, 'second') }
    await makeVfat(second, files.toReversed(), context)
    expect((await readFile(first.path)).equals(await readFile(second.path))).toBe(true)
    const listed = await run(['mdir', '-b', '-/', '-i', first.path, '::'])
    expect(listed.stdout.trim().split('\n').toSorted()).toEqual([
      '::/EFI/',
      '::/EFI/BOOT/',
      '::/EFI/BOOT/BOOTX64.EFI',
      '::/EFI/other/',
      '::/EFI/other/a.cfg',
    ])
  })

  test('that is too small for its files is an error', async () => {
    await using scratch = await makeScratch('fs-test')
    const from = join(scratch.path, 'large')
    await writeFile(from, Buffer.alloc(3 * MIB, 1))
    const job = jobIn(scratch.path, 'vfat', { size: byteCount(2 * MIB) })
    const made = makeVfat(job, [{ path: '/large', from }], contextIn(scratch.path))
    await expect(made).rejects.toMatchObject({ code: 'process', data: { program: 'mcopy' } })
  })

  test('cannot hold a Unix tree', async () => {
    await using scratch = await makeScratch('fs-test')
    const job = jobIn(scratch.path, 'vfat', { tree: scratch.path })
    await expect(makeVfat(job, [], contextIn(scratch.path))).rejects.toMatchObject({
      code: 'refused',
    })
  })
})

describe('swap', () => {
  test('has a header, the UUID of the layout, and nothing else to write', async () => {
    await using scratch = await makeScratch('fs-test')
    const job = jobIn(scratch.path, 'swap', { size: byteCount(8 * MIB), label: 'swap0' })
    const made = await makeSwap(job, contextIn(scratch.path))
    expect(await blkid(job.path, 'TYPE')).toBe('swap')
    expect(await blkid(job.path, 'UUID')).toBe(job.uuid)
    expect(await blkid(job.path, 'LABEL')).toBe('swap0')
    expect(made.unused).toEqual([{ offset: 4096, length: 8 * MIB - 4096 }])
    const rest = (await readFile(job.path)).subarray(4096)
    expect(rest.every((byte) => byte === 0)).toBe(true)
  })

  test('needs a size', async () => {
    await using scratch = await makeScratch('fs-test')
    const made = makeSwap(jobIn(scratch.path, 'swap'), contextIn(scratch.path))
    await expect(made).rejects.toMatchObject({ code: 'recipe' })
  })
})
