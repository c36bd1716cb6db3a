import { mkdir, open, readFile, rename, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { importSource } from '../../../src/pack/build/import.ts'
import { imageFormat, payloadNames } from '../../../src/pack/build/import-disk.ts'
import type { ImageSource } from '../../../src/pack/source.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { MIB } from '../../../src/units.ts'
import { EPOCH, payloadDigests } from './tiny.ts'

const DESCRIPTION = {
  name: 'imported',
  sequence: 3,
  os: { family: 'other' },
  architecture: 'x86_64',
} as const

async function imported(path: string, folder: string, into = 'imported'): Promise<ImageSource> {
  const scratch = join(folder, into)
  await mkdir(scratch)
  const context = { scratch, emit: () => undefined, sourceDateEpoch: EPOCH }
  return importSource(path, DESCRIPTION, context)
}

/** A GPT disk of 40 MiB: an ESP of 4 MiB without a file system, and ext4 with one file. */
async function gptDisk(folder: string): Promise<string> {
  const disk = join(folder, 'disk.raw')
  const files = join(folder, 'files')
  await mkdir(files)
  await writeFile(join(files, 'hello'), 'hello\n')
  await writeFile(disk, '')
  await truncate(disk, 40 * MIB)
  const esp = 'start=1MiB, size=4MiB, type=U, name=esp'
  const root = 'start=8MiB, size=24MiB, type=L, name="My Root"'
  const table = `label: gpt\n${esp}\n${root}\n`
  await run(['/sbin/sfdisk', '--quiet', disk], { stdin: Buffer.from(table) })
  const offset = `offset=${8 * MIB}`
  await run(['/sbin/mke2fs', '-q', '-t', 'ext4', '-E', offset, '-d', files, disk, '24M'])
  return disk
}

/** A file system of 24 MiB with one file, and no table. */
async function bareExt4(folder: string, name: string): Promise<string> {
  const disk = join(folder, 'made.raw')
  const files = join(folder, 'files')
  await mkdir(files)
  await writeFile(join(files, 'hello'), 'hello\n')
  await run(['/sbin/mke2fs', '-q', '-t', 'ext4', '-d', files, disk, '24M'])
  // e2fsprogs takes what follows a question mark as options.
  await rename(disk, join(folder, name))
  return join(folder, name)
}

describe('a disk', () => {
  test('with a GPT becomes one payload a partition, free blocks left out', async () => {
    await using scratch = await makeScratch('import-test')
    const disk = await gptDisk(scratch.path)
    const source = await imported(disk, scratch.path)
    expect(source).toMatchObject({ name: 'imported', sequence: 3, firmware: ['uefi'] })
    expect(source.payloads.map(({ name, place, path }) => [name, place, path])).toEqual([
      ['esp', { kind: 'region', offsetBytes: MIB }, disk],
      ['my-root', { kind: 'region', offsetBytes: 8 * MIB }, disk],
    ])
    expect(source.disk?.partitions[1]?.fileSystem?.kind).toBe('ext4')
    expect(source.disk?.minimumBytes).toBe(32 * MIB + 33 * 512)
    const bytes = (await readFile(disk)).subarray(8 * MIB, 32 * MIB)
    const unused = source.payloads[1]?.unused ?? []
    expect(unused.length).toBeGreaterThan(0)
    for (const { offset, length } of unused) bytes.fill(0xff, offset, offset + length)
    await writeFile(join(scratch.path, 'damaged'), bytes)
    await run(['/sbin/e2fsck', '-fn', join(scratch.path, 'damaged')])
  })

  test('whose journal waits for recovery has no unused blocks', async () => {
    await using scratch = await makeScratch('import-test')
    const disk = await gptDisk(scratch.path)
    const at = `${disk}?offset=${8 * MIB}`
    await run(['/sbin/debugfs', '-w', '-R', 'feature needs_recovery', at])
    expect((await imported(disk, scratch.path)).payloads[1]?.unused).toEqual([])
  })

  test.each([
    ['needs_recovery', 'feature needs_recovery'],
    ['was not unmounted', 'set_super_value state 0'],
    ['found errors', 'set_super_value state 3'],
  ])('with ext4 that %s has no unused blocks', async (_, request) => {
    await using scratch = await makeScratch('import-test')
    const disk = await bareExt4(scratch.path, 'disk.raw')
    expect((await imported(disk, scratch.path, 'clean')).payloads[0]?.unused).not.toEqual([])
    await run(['/sbin/debugfs', '-w', '-R', request, disk])
    expect((await imported(disk, scratch.path, 'marked')).payloads[0]?.unused).toEqual([])
  })

  test.each(['disk.raw', 'what?.raw'])(
    'that is ext4 without a table (%s) is one payload, free blocks left out',
    async (name) => {
      await using scratch = await makeScratch('import-test')
      const disk = await bareExt4(scratch.path, name)
      const source = await imported(disk, scratch.path)
      expect(source.disk?.partitions).toEqual([])
      const [payload] = source.payloads
      expect(payload).toMatchObject({ name: 'disk', range: { offset: 0, length: 24 * MIB } })
      expect(payload?.unused.length).toBeGreaterThan(0)
      const bytes = await readFile(disk)
      for (const { offset, length } of payload?.unused ?? []) {
        bytes.fill(0xff, offset, offset + length)
      }
      await writeFile(join(scratch.path, 'damaged'), bytes)
      await run(['/sbin/e2fsck', '-fn', join(scratch.path, 'damaged')])
    },
  )

  test.each(['qcow2', 'vhdx', 'vmdk'])('as %s gives what the raw disk gives', async (format) => {
    await using scratch = await makeScratch('import-test')
    const disk = await gptDisk(scratch.path)
    const converted = join(scratch.path, `disk.${format}`)
    await run(['qemu-img', 'convert', '-f', 'raw', '-O', format, disk, converted])
    const raw = await imported(disk, scratch.path, 'raw')
    const other = await imported(converted, scratch.path, 'other')
    expect(await payloadDigests(other)).toEqual(await payloadDigests(raw))
    expect(other.disk).toEqual(raw.disk)
  })

  test('that stands on another file is refused', async () => {
    await using scratch = await makeScratch('import-test')
    const disk = await gptDisk(scratch.path)
    const overlay = join(scratch.path, 'overlay.qcow2')
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', disk, overlay])
    await expect(imported(overlay, scratch.path)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('stands on another file'),
    })
  })

  test('without a GPT becomes one payload, table and all', async () => {
    await using scratch = await makeScratch('import-test')
    const disk = join(scratch.path, 'disk.raw')
    await writeFile(disk, Buffer.alloc(3 * MIB + 100, 7))
    const source = await imported(disk, scratch.path)
    expect(source.disk).toEqual({
      sectorBytes: 512,
      minimumBytes: 3 * MIB + 512,
      table: { kind: 'none' },
      partitions: [],
    })
    expect(source.payloads).toMatchObject([
      { name: 'disk', range: { offset: 0, length: 3 * MIB + 100 } },
    ])
  })

  test('with partitions over an old file system has no unused blocks', async () => {
    await using scratch = await makeScratch('import-test')
    const disk = await bareExt4(scratch.path, 'disk.raw')
    const [bare] = (await imported(disk, scratch.path)).payloads
    expect(bare?.unused.length).toBeGreaterThan(0)
    // sfdisk leaves the superblock of the whole disk; blkid and dumpe2fs find it in order.
    const table = Buffer.from('label: dos\nstart=8MiB, size=12MiB, type=83\n')
    await run(['/sbin/sfdisk', '--quiet', '--wipe', 'never', disk], { stdin: table })
    const [whole] = (await imported(disk, scratch.path, 'again')).payloads
    expect(whole).toMatchObject({ range: { offset: 0, length: 24 * MIB }, unused: [] })
  })

  test('with the backup header of a GPT alone has no unused blocks', async () => {
    await using scratch = await makeScratch('import-test')
    const disk = await bareExt4(scratch.path, 'disk.raw')
    await using file = await open(disk, 'r+')
    // Not a sound one: a table that another system may still repair.
    await file.write('EFI PART', 24 * MIB - 512)
    const [whole] = (await imported(disk, scratch.path)).payloads
    expect(whole?.unused).toEqual([])
  })

  test('that is cut off, damaged or empty is refused', async () => {
    await using scratch = await makeScratch('import-test')
    const disk = await gptDisk(scratch.path)
    await truncate(disk, 20 * MIB)
    await expect(imported(disk, scratch.path, 'cut')).rejects.toMatchObject({
      code: 'format',
      message: expect.stringMatching(/partition 2 ends at byte 33554432, the disk at 20971520$/),
    })
    const bytes = await readFile(disk)
    bytes.writeUInt8(bytes.readUInt8(1_060) ^ 1, 1_060)
    await writeFile(disk, bytes)
    await expect(imported(disk, scratch.path, 'flip')).rejects.toMatchObject({ code: 'format' })
    await writeFile(disk, '')
    await expect(imported(disk, scratch.path, 'empty')).rejects.toMatchObject({ code: 'format' })
    await expect(imported(`${disk}.not`, scratch.path, 'none')).rejects.toMatchObject({
      code: 'io',
    })
  })

  test('format is told by magic bytes alone', () => {
    expect(imageFormat(Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'))).toBe('qcow2')
    expect(imageFormat(Buffer.from('vhdxfile'))).toBe('vhdx')
    expect(imageFormat(Buffer.from('KDMV\x01'))).toBe('vmdk')
    expect(imageFormat(Buffer.from('# Disk DescriptorFile'))).toBe('raw')
    expect(imageFormat(new Uint8Array())).toBe('raw')
  })

  test('names its payloads after partitions where that is unambiguous', () => {
    const named = (number: number, name: string) => ({
      number,
      name,
      type: '83',
      firstLba: 0,
      sectors: 1,
      grow: false,
    })
    const names = ['EFI System', 'root', 'root', '', 'p1', '../x']
    expect(payloadNames(names.map((name, position) => named(position + 1, name)))).toEqual([
      'efi-system',
      'p2',
      'p3',
      'p4',
      'p5',
      'x',
    ])
  })
})

describe('a tree', () => {
  async function tree(folder: string): Promise<string> {
    const path = join(folder, 'tree')
    await mkdir(join(path, 'b/inner'), { recursive: true })
    await writeFile(join(path, 'b/inner/file'), 'x'.repeat(600))
    await writeFile(join(path, 'a'), 'a')
    await symlink('/etc/passwd', join(path, 'link'))
    return path
  }

  test('is a sorted tar with relative names, the same bytes twice', async () => {
    await using scratch = await makeScratch('import-test')
    const path = await tree(scratch.path)
    const first = await imported(path, scratch.path, 'first')
    await run(['cat', join(path, 'a')])
    const second = await imported(path, scratch.path, 'second')
    expect(await payloadDigests(second)).toEqual(await payloadDigests(first))
    const [payload] = first.payloads
    expect(payload?.place).toEqual({ kind: 'tree', entries: 5 })
    const { stdout } = await run(['tar', '-tf', payload?.path ?? ''])
    expect(stdout).toBe('a\nb/\nb/inner/\nb/inner/file\nlink\n')
    expect((await stat(payload?.path ?? '')).size).toBe(payload?.range.length)
    expect(first.disk).toBeUndefined()
  })

  test('may come as a tarball', async () => {
    await using scratch = await makeScratch('import-test')
    const path = await tree(scratch.path)
    const tarball = join(scratch.path, 'tree.tar.zst')
    await run(['tar', '-caf', tarball, '-C', path, '.'])
    const [payload] = (await imported(tarball, scratch.path)).payloads
    const { stdout } = await run(['tar', '-tf', payload?.path ?? ''])
    expect(stdout).toBe('a\nb/\nb/inner/\nb/inner/file\nlink\n')
  })

  test('with a socket is refused by name', async () => {
    await using scratch = await makeScratch('import-test')
    const path = await tree(scratch.path)
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(path, 'b/socket'), resolve))
    try {
      await expect(imported(path, scratch.path)).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('b/socket is a socket'),
      })
    } finally {
      server.close()
    }
  })
  test('keeps names that are no text, or look like escapes, wherever they are', async () => {
    await using scratch = await makeScratch('import-test')
    const path = await tree(scratch.path)
    const slice = 'system-systemd\\x2dcryptsetup.slice'
    for (const folder of ['', 'b/']) {
      await writeFile(join(path, folder, slice), '')
      await writeFile(Buffer.from(`${path}/${folder}\xff\xfe`, 'latin1'), '')
    }
    const [payload] = (await imported(path, scratch.path)).payloads
    expect(payload?.place).toEqual({ kind: 'tree', entries: 9 })
    const argv = ['tar', '--quoting-style=escape', '-tf', payload?.path ?? ''] as const
    const { stdout } = await run(argv, { env: { LC_ALL: 'C' } })
    const bytes = '\\377\\376'
    const shown = slice.replace('\\', '\\\\')
    const inside = ['b/', 'b/inner/', 'b/inner/file', `b/${shown}`, `b/${bytes}`]
    expect(stdout).toBe(['a', ...inside, 'link', shown, bytes, ''].join('\n'))
  })

  test('may be empty', async () => {
    await using scratch = await makeScratch('import-test')
    await mkdir(join(scratch.path, 'empty'))
    const [payload] = (await imported(join(scratch.path, 'empty'), scratch.path)).payloads
    expect(payload?.place).toEqual({ kind: 'tree', entries: 0 })
  })

  test('that unpack would refuse is refused, and the entry named', async () => {
    await using scratch = await makeScratch('import-test')
    const path = await tree(scratch.path)
    const deep = Array.from({ length: 65 }, () => 'd').join('/')
    await mkdir(join(path, deep), { recursive: true })
    const error = await imported(path, scratch.path).catch((cause: unknown) => cause)
    expect(error).toMatchObject({
      code: 'limit',
      data: { limit: 'tarDepth', max: 64, value: 65, entry: `${deep}/` },
      message: expect.stringContaining(`packing ${deep}/ of ${path}: unpack would refuse it`),
    })
  })
})
