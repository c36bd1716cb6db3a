import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { openTreeSink } from '../../../src/unpack/tree/tree-sink.ts'
import {
  directory,
  entry,
  header,
  octal,
  paxRecord,
  tarOf,
} from '../../format/tree/hand-made-tar.ts'
import { describeTree, describeXattrs } from './described-tree.ts'
import { extract, failureOf, gnuTar } from './extraction.ts'

let scratch: Scratch
let source: string
let target: string

beforeEach(async () => {
  scratch = await makeScratch('tree-test')
  source = join(scratch.path, 'source')
  target = join(scratch.path, 'target')
})

afterEach(() => scratch[Symbol.asyncDispose]())

function makeSource(): void {
  mkdirSync(join(source, 'bin/empty'), { recursive: true })
  writeFileSync(join(source, 'bin/large'), Buffer.alloc(3_000_001, 'large'))
  writeFileSync(join(source, 'bin/setuid'), '#!/bin/sh\n')
  chmodSync(join(source, 'bin/setuid'), 0o4755)
  writeFileSync(join(source, 'none'), '')
  for (const bytes of [1, 511, 512, 513]) {
    writeFileSync(join(source, `of-${bytes}-bytes`), Buffer.alloc(bytes, 'b'))
  }
  writeFileSync(join(source, 'äöü 漢字 🙂'), 'unicode')
  writeFileSync(Buffer.from(`${source}/not-utf-8-\xff\xfe`, 'latin1'), 'bytes')
  // Debian's systemd has this name.
  writeFileSync(join(source, 'bin/system-systemd\\x2dcryptsetup.slice'), '[Unit]\n')
  symlinkSync('../../outside/äöü', join(source, 'link'))
  symlinkSync(`/${'long/'.repeat(60)}end`, join(source, 'long-link'))
  linkSync(join(source, 'bin/large'), join(source, 'bin/large-too'))
  const deep = join(source, Array.from({ length: 20 }, () => 'a-directory-name').join('/'))
  mkdirSync(deep, { recursive: true })
  writeFileSync(join(deep, 'n'.repeat(255)), 'deep')
  linkSync(join(deep, 'n'.repeat(255)), join(deep, 'm'.repeat(255)))
  utimesSync(join(source, 'none'), 1_234_567_890.25, 1_234_567_890.25)
  utimesSync(join(source, 'of-1-bytes'), new Date(-5_500), new Date(-5_500))
  lutimesSync(join(source, 'link'), 1_000_000_000, 1_000_000_000)
  chmodSync(join(source, 'bin/empty'), 0o1777)
  chmodSync(join(source, 'bin'), 0o2755)
  for (const folder of ['bin/empty', 'bin', '.']) utimesSync(join(source, folder), 1e9, 1e9 + 0.5)
}

describe('a tree made by GNU tar', () => {
  beforeEach(makeSource)

  test.each([4 << 20, 512, 1_000_003, 10_240])('in chunks of %i bytes', async (chunkBytes) => {
    const { tar, entries } = gnuTar(source)
    await extract(tar, { directory: target, entries, chunkBytes })
    expect(describeTree(target)).toEqual(describeTree(source))
  })

  test('byte by byte', async () => {
    truncateSync(join(source, 'bin/large'), 10_000)
    const { tar, entries } = gnuTar(source)
    await extract(tar, { directory: target, entries, chunkBytes: 1 })
    expect(describeTree(target)).toEqual(describeTree(source))
  })

  test('extended attributes, also of directories and files that cannot be written', async () => {
    const set = (name: string, value: string, path: string) =>
      execFileSync('setfattr', ['-n', name, '-v', value, join(source, path)])
    set('user.plain', 'text', 'none')
    set('user.binary', '0x000a0d22005cff3d', 'none')
    set('user.sign=%3D', 'x', 'bin/large')
    set('user.of a directory', 'x', 'bin')
    set('user.slice', 'x', 'bin/system-systemd\\x2dcryptsetup.slice')
    set('user.line\nfeed', 'x', 'äöü 漢字 🙂')
    const odd = Buffer.from(`${source}/line\nfeed #\t=\xff`, 'latin1')
    writeFileSync(odd, '')
    execFileSync('find', [source, '-name', 'line*', '-exec', 'setfattr', '-n', 'user.a', '{}', ';'])
    set('user.empty', '', 'äöü 漢字 🙂')
    chmodSync(join(source, 'none'), 0o444)
    const { tar, entries } = gnuTar(source)
    await extract(tar, { directory: target, entries })
    expect(describeXattrs(target)).toEqual(describeXattrs(source))
    expect(describeXattrs(target)).toMatch(/# file: line.012feed/)
    expect(describeXattrs(target)).toContain('user.binary=0x000a0d22005cff3d')
    expect(describeTree(target)).toEqual(describeTree(source))
  })

  test('attributes of many files go in several batches', async () => {
    const value = `0s${Buffer.alloc(3_000, 'v').toString('base64')}`
    const files = Array.from({ length: 600 }, (_, i) => `# file: f${i}\nuser.a=${value}\n\n`)
    for (const i of files.keys()) writeFileSync(join(source, `f${i}`), '')
    execFileSync('setfattr', ['--restore=-'], { cwd: source, input: files.join('') })
    const { tar, entries } = gnuTar(source)
    await extract(tar, { directory: target, entries })
    expect(describeXattrs(target)).toEqual(describeXattrs(source))
  })

  test('an attribute that the kernel refuses is an error, also amid others', async () => {
    const pax = [paxRecord('SCHILY.xattr.user.a', 'x')]
    const tar = tarOf(
      entry({ name: 'a', pax }),
      entry({ name: 'link', type: '2', linkName: 'a', pax }),
      entry({ name: 'b', pax }),
    )
    const error = await failureOf(extract(tar, { directory: target, entries: 3 }))
    expect(error).toMatchObject({ code: 'process', data: { program: 'setfattr', status: 1 } })
    expect(error.message).toContain('./link')
  })

  test('a sparse file is refused', async () => {
    truncateSync(join(source, 'bin/large'), 100_000_000)
    const { tar, entries } = gnuTar(source, '--sparse')
    const error = await failureOf(extract(tar, { directory: target, entries }))
    expect(error).toMatchObject({ code: 'format' })
    expect(error.message).toContain('GNU.sparse')
    expect(error.hints.join()).toContain('--sparse')
  })

  test('the formats gnu, v7 and oldgnu are refused', async () => {
    for (const format of ['gnu', 'oldgnu', 'v7']) {
      const tar = execFileSync('tar', ['-c', `--format=${format}`, '-C', source, 'none'])
      const error = await failureOf(extract(tar, { directory: target, entries: 1 }))
      expect(error).toMatchObject({ code: 'format', hints: [expect.stringContaining('pax')] })
      expect(readdirSync(target)).toEqual([])
    }
  })
})

describe('the directory', () => {
  const tar = tarOf(entry({ name: 'a', content: 'abc' }))

  test('that does not exist is made, for all to enter', async () => {
    await extract(tar, { directory: target, entries: 1 })
    expect(statSync(target).mode & 0o777).toBe(0o755)
    expect(readFileSync(join(target, 'a'), 'utf8')).toBe('abc')
  })

  test('that is empty is taken and keeps its mode, unless the tree names one', async () => {
    mkdirSync(target, 0o750)
    await extract(tar, { directory: target, entries: 1 })
    expect(statSync(target).mode & 0o777).toBe(0o750)
    target = join(scratch.path, 'other')
    mkdirSync(target, 0o750)
    await extract(tarOf(directory('./', { mode: '0000711\0' })), { directory: target, entries: 1 })
    expect(statSync(target).mode & 0o777).toBe(0o711)
  })

  test('with the lost+found of a fresh file system is empty', async () => {
    mkdirSync(join(target, 'lost+found'), { recursive: true })
    const tree = tarOf(directory('lost+found/', { mode: '0000700\0' }), entry({ name: 'a' }))
    await extract(tree, { directory: target, entries: 2 })
    expect(readdirSync(target)).toEqual(['a', 'lost+found'])
  })

  test('that holds something is refused and left alone', async () => {
    for (const name of ['file', 'lost+found/file']) {
      const path = join(target, name)
      execFileSync('mkdir', ['-p', join(path, '..')])
      writeFileSync(path, 'kept')
      const error = await failureOf(extract(tar, { directory: target, entries: 1 }))
      expect(error).toMatchObject({ code: 'refused' })
      expect(error.message).toContain('not empty')
      expect(error.hints.join()).toContain(`rm -r ${target}`)
      expect(existsSync(join(target, 'a'))).toBe(false)
      execFileSync('rm', ['-r', target])
    }
  })

  test('that is a file, or has no parent, is refused', async () => {
    writeFileSync(target, '')
    expect(await failureOf(extract(tar, { directory: target, entries: 1 }))).toMatchObject({
      code: 'refused',
    })
    target = join(target, 'below')
    expect(await failureOf(extract(tar, { directory: target, entries: 1 }))).toMatchObject({
      code: 'io',
    })
  })

  test.each([
    ['a file', '0'],
    ['a directory', '5'],
    ['a fifo', '6'],
  ])('and a path may have 4,095 bytes together: %s', async (_, type) => {
    const folders = Array.from({ length: 16 }, (_, i) => `${'n'.repeat(240)}/`.repeat(i + 1))
    const below = 4_095 - target.length - 1
    const last = (folders.at(-1) ?? '').padEnd(below, 'f')
    const tarWith = (path: string) => {
      const parents = folders.map((name) => directory('d', { pax: [paxRecord('path', name)] }))
      return tarOf(...parents, entry({ type, pax: [paxRecord('path', path)] }))
    }
    await extract(tarWith(last), { directory: target, entries: 17 })
    expect(existsSync(join(target, last))).toBe(true)
    target += 'x'
    const error = await failureOf(extract(tarWith(last), { directory: target, entries: 17 }))
    expect(error).toMatchObject({ code: 'io', data: { errno: 'ENAMETOOLONG' } })
    expect(error.message).toContain(`below ${target}: file name too long`)
    expect(error.hints.join()).toContain('shorter path')
    expect(existsSync(join(target, folders.at(-1) ?? ''))).toBe(true)
  })

  test('is not made when too many entries are announced', async () => {
    const error = await failureOf(extract(tar, { directory: target, entries: 5_000_001 }))
    expect(error).toMatchObject({ code: 'limit', data: { limit: 'tarEntries' } })
    expect(existsSync(target)).toBe(false)
  })
})

describe('stopping', () => {
  const openFiles = () => readdirSync('/proc/self/fd').length
  const large = header({ name: 'a', size: octal(2 ** 30) })

  test('by abort, while a large write is under way', async () => {
    const before = openFiles()
    const sink = openTreeSink({ directory: target, entries: 1 })
    const chunk = Buffer.concat([large, Buffer.alloc(4 << 20, 'x')])
    const writing = failureOf(sink.write(chunk))
    await sink.abort()
    expect(await writing).toMatchObject({ code: 'cancelled' })
    expect(await failureOf(sink.write(chunk))).toMatchObject({ code: 'cancelled' })
    expect(await failureOf(sink.end())).toMatchObject({ code: 'cancelled' })
    await sink.abort()
    expect(openFiles()).toBe(before)
  })

  test('by the signal', async () => {
    const before = openFiles()
    const controller = new AbortController()
    const sink = openTreeSink({ directory: target, entries: 1, signal: controller.signal })
    await sink.write(large)
    controller.abort()
    expect(await failureOf(sink.write(Buffer.alloc(10)))).toMatchObject({ code: 'cancelled' })
    await sink.abort()
    expect(openFiles()).toBe(before)
    const late = { directory: join(scratch.path, 'other'), entries: 0, signal: controller.signal }
    expect(() => openTreeSink(late)).toThrow(expect.objectContaining({ code: 'cancelled' }))
    expect(existsSync(late.directory)).toBe(false)
  })

  test('a failure is thrown by every later call, and closes the file', async () => {
    const before = openFiles()
    const sink = openTreeSink({ directory: target, entries: 1 })
    await sink.write(large)
    const error = await failureOf(sink.end())
    expect(error).toMatchObject({ code: 'format' })
    expect(await failureOf(sink.write(Buffer.alloc(10)))).toBe(error)
    expect(await failureOf(sink.end())).toBe(error)
    expect(openFiles()).toBe(before)
  })

  test('two calls at a time are the fault of the caller', async () => {
    const sink = openTreeSink({ directory: target, entries: 1 })
    const first = sink.write(Buffer.concat([large, Buffer.alloc(4 << 20, 'x')]))
    await expect(sink.write(Buffer.alloc(10))).rejects.toThrow(RangeError)
    await first
    await sink.abort()
  })
})
