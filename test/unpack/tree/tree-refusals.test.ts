import { execFileSync } from 'node:child_process'
import { linkSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { openTreeSink } from '../../../src/unpack/tree/tree-sink.ts'
import { directory, entry, paxRecord, tarOf } from '../../format/tree/hand-made-tar.ts'
import { extract, failureOf } from './extraction.ts'

let scratch: Scratch
let target: string

beforeEach(async () => {
  scratch = await makeScratch('tree-test')
  target = join(scratch.path, 'target')
})

afterEach(() => scratch[Symbol.asyncDispose]())

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
    ['too deep', entry({ pax: [paxRecord('path', `${long}f`)] }), 'limit'],
    ['part too long', entry({ pax: [paxRecord('path', 'n'.repeat(256))] }), 'limit'],
    ['path too long', entry({ pax: [paxRecord('path', 'n'.repeat(4_097))] }), 'limit'],
    ['pax too long', entry({ pax: [paxRecord('uname', 'n'.repeat(65_536))] }), 'limit'],
    ['no parent', entry({ name: 'a/b' }), 'format'],
    ['size in pax', entry({ content: 'abc', pax: [paxRecord('size', '1')] }), 'format'],
  ])('%s: nothing is written', async (_, block, code) => {
    writeFileSync(join(scratch.path, 'witness'), 'kept')
    expect(await failureOf(extract(tarOf(block), { directory: target, entries: 1 }))).toMatchObject(
      { code },
    )
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
    const error = await failureOf(extract(tar, { directory: target, entries: 2, chunkBytes: 512 }))
    expect(error).toMatchObject({ code: 'format' })
    expect(error.message).toContain('its parent is no directory')
    expect(readdirSync(target)).toEqual(['escape'])
    expect(readdirSync(scratch.path)).toEqual(['target'])
  })

  test('a file over a symbolic link, and a directory over one', async () => {
    const link = entry({ name: 'a', type: '2', linkName: join(scratch.path, 'witness') })
    writeFileSync(join(scratch.path, 'witness'), 'kept')
    for (const second of [entry({ name: 'a', content: 'x' }), directory('a/')]) {
      const error = await failureOf(extract(tarOf(link, second), { directory: target, entries: 2 }))
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
      const error = await failureOf(
        extract(tar, { directory: target, entries: 2, chunkBytes: 512 }),
      )
      expect(error.message).toContain('no file that came before it')
      expect(readdirSync(target)).toEqual(['a'])
      execFileSync('rm', ['-r', target])
    }
  })

  test('one entry more than announced is not written, one less is an error', async () => {
    const tar = tarOf(entry({ name: 'a' }), entry({ name: 'b' }))
    expect(
      await failureOf(extract(tar, { directory: target, entries: 1, chunkBytes: 512 })),
    ).toMatchObject({
      code: 'format',
    })
    expect(readdirSync(target)).toEqual(['a'])
    target = join(scratch.path, 'other')
    expect(await failureOf(extract(tar, { directory: target, entries: 3 }))).toMatchObject({
      code: 'format',
    })
  })

  test('what was written stays, and the next run refuses it', async () => {
    const tar = tarOf(entry({ name: 'a', content: 'abc' }), entry({ name: '../b' }))
    await failureOf(extract(tar, { directory: target, entries: 2, chunkBytes: 512 }))
    expect(readFileSync(join(target, 'a'), 'utf8')).toBe('abc')
    expect(await failureOf(extract(tar, { directory: target, entries: 2 }))).toMatchObject({
      code: 'refused',
    })
  })
})
