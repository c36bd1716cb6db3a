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
import type { OsflashError } from '../../../src/errors.ts'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { openTreeSink, type TreeSinkOptions } from '../../../src/unpack/tree/tree-sink.ts'
import { describeTree, describeXattrs, settleTimes } from './described-tree.ts'
import { directory, entry, header, octal, paxRecord, tarOf } from './hand-made-tar.ts'

let scratch: Scratch
let source: string
let target: string

beforeEach(async () => {
  scratch = await makeScratch('tree-test')
  source = join(scratch.path, 'source')
  target = join(scratch.path, 'target')
})

afterEach(() => scratch[Symbol.asyncDispose]())

/** GNU tar of the source tree, made the way that the refusals recommend. */
function gnuTar(...options: readonly string[]): { tar: Buffer; entries: number } {
  settleTimes(source)
  const args = ['--format=pax', '--xattrs', '--xattrs-include=*', ...options, '-C', source, '.']
  const tar = execFileSync('tar', ['-c', ...args], { maxBuffer: 2 ** 30 })
  const list = execFileSync('tar', ['-t', '--quoting-style=escape'], { input: tar })
  return { tar, entries: list.toString().split('\n').length - 1 }
}

interface Extraction extends Partial<TreeSinkOptions> {
  readonly entries: number
  readonly chunkBytes?: number
}

/** Extracts through one buffer that is overwritten as soon as a write is settled. */
async function extract(tar: Uint8Array, options: Extraction): Promise<void> {
  const chunkBytes = options.chunkBytes ?? 1 << 20
  const buffer = new Uint8Array(new SharedArrayBuffer(chunkBytes))
  const sink = openTreeSink({ directory: target, ...options })
  for (let at = 0; at < tar.length; at += chunkBytes) {
    const chunk = tar.subarray(at, at + chunkBytes)
    buffer.set(chunk)
    await sink.write(buffer.subarray(0, chunk.length))
    buffer.fill(0xee)
  }
  await sink.end()
}

const failureOf = async (work: Promise<unknown>): Promise<OsflashError> => {
  const error = await work.then(
    () => undefined,
    (cause: OsflashError) => cause,
  )
  if (error === undefined) throw new Error('was not refused')
  return error
}

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
    const { tar, entries } = gnuTar()
    await extract(tar, { entries, chunkBytes })
    expect(describeTree(target)).toEqual(describeTree(source))
  })

  test('byte by byte', async () => {
    truncateSync(join(source, 'bin/large'), 10_000)
    const { tar, entries } = gnuTar()
    await extract(tar, { entries, chunkBytes: 1 })
    expect(describeTree(target)).toEqual(describeTree(source))
  })

  test('extended attributes, also of directories and files that cannot be written', async () => {
    const set = (name: string, value: string, path: string) =>
      execFileSync('setfattr', ['-n', name, '-v', value, join(source, path)])
    set('user.plain', 'text', 'none')
    set('user.binary', '0x000a0d22005cff3d', 'none')
    set('user.sign=%3D', 'x', 'bin/large')
    set('user.of a directory', 'x', 'bin')
    set('user.line\nfeed', 'x', 'äöü 漢字 🙂')
    const odd = Buffer.from(`${source}/line\nfeed #\t=\xff`, 'latin1')
    writeFileSync(odd, '')
    execFileSync('find', [source, '-name', 'line*', '-exec', 'setfattr', '-n', 'user.a', '{}', ';'])
    set('user.empty', '', 'äöü 漢字 🙂')
    chmodSync(join(source, 'none'), 0o444)
    const { tar, entries } = gnuTar()
    await extract(tar, { entries })
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
    const { tar, entries } = gnuTar()
    await extract(tar, { entries })
    expect(describeXattrs(target)).toEqual(describeXattrs(source))
  })

  test('an attribute that the kernel refuses is an error, also amid others', async () => {
    const pax = [paxRecord('SCHILY.xattr.user.a', 'x')]
    const tar = tarOf(
      entry({ name: 'a', pax }),
      entry({ name: 'link', type: '2', linkName: 'a', pax }),
      entry({ name: 'b', pax }),
    )
    const error = await failureOf(extract(tar, { entries: 3 }))
    expect(error).toMatchObject({ code: 'process', data: { program: 'setfattr', status: 1 } })
    expect(error.message).toContain('./link')
  })

  test('a sparse file is refused', async () => {
    truncateSync(join(source, 'bin/large'), 100_000_000)
    const { tar, entries } = gnuTar('--sparse')
    const error = await failureOf(extract(tar, { entries }))
    expect(error).toMatchObject({ code: 'format' })
    expect(error.message).toContain('GNU.sparse')
    expect(error.hints.join()).toContain('--sparse')
  })

  test('the formats gnu, v7 and oldgnu are refused', async () => {
    for (const format of ['gnu', 'oldgnu', 'v7']) {
      const tar = execFileSync('tar', ['-c', `--format=${format}`, '-C', source, 'none'])
      const error = await failureOf(extract(tar, { entries: 1 }))
      expect(error).toMatchObject({ code: 'format', hints: [expect.stringContaining('pax')] })
      expect(readdirSync(target)).toEqual([])
    }
  })
})

describe('the directory', () => {
  const tar = tarOf(entry({ name: 'a', content: 'abc' }))

  test('that does not exist is made, for all to enter', async () => {
    await extract(tar, { entries: 1 })
    expect(statSync(target).mode & 0o777).toBe(0o755)
    expect(readFileSync(join(target, 'a'), 'utf8')).toBe('abc')
  })

  test('that is empty is taken and keeps its mode, unless the tree names one', async () => {
    mkdirSync(target, 0o750)
    await extract(tar, { entries: 1 })
    expect(statSync(target).mode & 0o777).toBe(0o750)
    target = join(scratch.path, 'other')
    mkdirSync(target, 0o750)
    await extract(tarOf(directory('./', { mode: '0000711\0' })), { entries: 1 })
    expect(statSync(target).mode & 0o777).toBe(0o711)
  })

  test('with the lost+found of a fresh file system is empty', async () => {
    mkdirSync(join(target, 'lost+found'), { recursive: true })
    const tree = tarOf(directory('lost+found/', { mode: '0000700\0' }), entry({ name: 'a' }))
    await extract(tree, { entries: 2 })
    expect(readdirSync(target)).toEqual(['a', 'lost+found'])
  })

  test('that holds something is refused and left alone', async () => {
    for (const name of ['file', 'lost+found/file']) {
      const path = join(target, name)
      execFileSync('mkdir', ['-p', join(path, '..')])
      writeFileSync(path, 'kept')
      const error = await failureOf(extract(tar, { entries: 1 }))
      expect(error).toMatchObject({ code: 'refused' })
      expect(error.message).toContain('not empty')
      expect(error.hints.join()).toContain(`rm -r ${target}`)
      expect(existsSync(join(target, 'a'))).toBe(false)
      execFileSync('rm', ['-r', target])
    }
  })

  test('that is a file, or has no parent, is refused', async () => {
    writeFileSync(target, '')
    expect(await failureOf(extract(tar, { entries: 1 }))).toMatchObject({ code: 'refused' })
    target = join(target, 'below')
    expect(await failureOf(extract(tar, { entries: 1 }))).toMatchObject({ code: 'io' })
  })

  test('is not made when too many entries are announced', async () => {
    const error = await failureOf(extract(tar, { entries: 5_000_001 }))
    expect(error).toMatchObject({ code: 'limit', data: { limit: 'tarEntries' } })
    expect(existsSync(target)).toBe(false)
  })
})

describe('a tree that is refused', () => {
  const long = 'd/'.repeat(64)

  test.each<[string, Buffer, string]>([
    ['absolute', entry({ name: '/tmp/osflash-outside', content: 'x' }), 'format'],
    ['upwards', entry({ name: '../outside', content: 'x' }), 'format'],
    ['upwards by pax', entry({ pax: [paxRecord('path', 'a/../../outside')] }), 'format'],
    ['upwards by prefix', entry({ prefix: '..', name: 'outside' }), 'format'],
    ['hard link upwards', entry({ type: '1', linkName: '../witness' }), 'format'],
    ['hard link absolute', entry({ type: '1', linkName: '/etc/passwd' }), 'format'],
    ['hard link to nothing', entry({ type: '1', linkName: 'none' }), 'format'],
    ['NUL', entry({ pax: [paxRecord('path', 'a\0b')] }), 'format'],
    ['backslash', entry({ name: 'a\\b' }), 'format'],
    ['too deep', entry({ pax: [paxRecord('path', `${long}f`)] }), 'limit'],
    ['part too long', entry({ pax: [paxRecord('path', 'n'.repeat(256))] }), 'limit'],
    ['path too long', entry({ pax: [paxRecord('path', 'n'.repeat(4_097))] }), 'limit'],
    ['pax too long', entry({ pax: [paxRecord('uname', 'n'.repeat(65_536))] }), 'limit'],
    ['no parent', entry({ name: 'a/b' }), 'format'],
    ['size in pax', entry({ content: 'abc', pax: [paxRecord('size', '1')] }), 'format'],
  ])('%s: nothing is written', async (_, block, code) => {
    writeFileSync(join(scratch.path, 'witness'), 'kept')
    expect(await failureOf(extract(tarOf(block), { entries: 1 }))).toMatchObject({ code })
    expect(readdirSync(target)).toEqual([])
    expect(readdirSync(scratch.path)).toEqual(['target', 'witness'])
    expect(statSync(join(scratch.path, 'witness')).nlink).toBe(1)
  })

  test.each([
    ['a directory', () => scratch.path],
    ['the parent', () => '..'],
    ['the tree', () => '.'],
  ])('writing through a symbolic link to %s', async (_, linkName) => {
    const tar = tarOf(
      entry({ name: 'escape', type: '2', linkName: linkName() }),
      entry({ name: 'escape/written', content: 'x' }),
    )
    const error = await failureOf(extract(tar, { entries: 2 }))
    expect(error).toMatchObject({ code: 'format' })
    expect(error.message).toContain('its parent is no directory')
    expect(readdirSync(target)).toEqual(['escape'])
    expect(readdirSync(scratch.path)).toEqual(['target'])
  })

  test('a file over a symbolic link, and a directory over one', async () => {
    const link = entry({ name: 'a', type: '2', linkName: join(scratch.path, 'witness') })
    writeFileSync(join(scratch.path, 'witness'), 'kept')
    for (const second of [entry({ name: 'a', content: 'x' }), directory('a/')]) {
      const error = await failureOf(extract(tarOf(link, second), { entries: 2 }))
      expect(error.message).toContain('comes twice')
      expect(readFileSync(join(scratch.path, 'witness'), 'utf8')).toBe('kept')
      execFileSync('rm', ['-r', target])
    }
  })

  test.each([
    ['file', 'a', linkSync],
    ['symbolic link', 'a', symlinkSync],
    ['directory', 'a/', symlinkSync],
  ] as const)('over a %s that somebody else put there meanwhile', async (_, name, put) => {
    const witness = join(scratch.path, 'witness')
    writeFileSync(witness, 'kept')
    const sink = openTreeSink({ directory: target, entries: 1 })
    put(witness, join(target, 'a'))
    const block = name === 'a' ? entry({ name, content: 'x' }) : directory(name)
    const error = await failureOf(sink.write(tarOf(block)))
    expect(error).toMatchObject({ code: 'io', data: { errno: 'EEXIST' } })
    expect(readFileSync(witness, 'utf8')).toBe('kept')
  })

  test('a hard link to a symbolic link or a directory', async () => {
    const first = [
      entry({ name: 'a', type: '2', linkName: '/etc/passwd' }),
      directory('a/'),
      entry({ name: 'a', type: '6' }),
    ]
    for (const block of first) {
      const tar = tarOf(block, entry({ name: 'b', type: '1', linkName: 'a' }))
      const error = await failureOf(extract(tar, { entries: 2 }))
      expect(error.message).toContain('no file that came before it')
      expect(readdirSync(target)).toEqual(['a'])
      execFileSync('rm', ['-r', target])
    }
  })

  test('one entry more than announced is not written, one less is an error', async () => {
    const tar = tarOf(entry({ name: 'a' }), entry({ name: 'b' }))
    expect(await failureOf(extract(tar, { entries: 1 }))).toMatchObject({ code: 'format' })
    expect(readdirSync(target)).toEqual(['a'])
    target = join(scratch.path, 'other')
    expect(await failureOf(extract(tar, { entries: 3 }))).toMatchObject({ code: 'format' })
  })

  test('what was written stays, and the next run refuses it', async () => {
    const tar = tarOf(entry({ name: 'a', content: 'abc' }), entry({ name: '../b' }))
    await failureOf(extract(tar, { entries: 2 }))
    expect(readFileSync(join(target, 'a'), 'utf8')).toBe('abc')
    expect(await failureOf(extract(tar, { entries: 2 }))).toMatchObject({ code: 'refused' })
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
