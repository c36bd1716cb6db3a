import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import { TarChecker } from '../../../src/format/tree/tar-check.ts'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { openTreeSink } from '../../../src/unpack/tree/tree-sink.ts'
import {
  checksumOf,
  END,
  entry,
  type HandMadeEntry,
  paxRecord,
  tarOf,
} from '../../format/tree/hand-made-tar.ts'
import { describeTree } from './described-tree.ts'

let scratch: Scratch
/** All that is written must be below it; everything around it is a witness. */
let target: string
let tar: Buffer

beforeAll(async () => {
  scratch = await makeScratch('tree-fuzz')
  target = join(scratch.path, 'target')
  const source = join(scratch.path, 'source')
  mkdirSync(join(source, 'd'), { recursive: true })
  writeFileSync(join(source, 'd/f'), Buffer.alloc(1_300, 'f'))
  writeFileSync(join(source, `d/${'n'.repeat(150)}`), 'long')
  symlinkSync('../../../source', join(source, 'link'))
  execFileSync('ln', ['d/f', 'hard'], { cwd: source })
  tar = execFileSync('tar', ['-c', '--format=pax', '-b', '1', '-C', source, '.'])
})

afterAll(() => scratch[Symbol.asyncDispose]())

/** All events, content joined, so that they do not depend on the chunks. */
function read(whole: Buffer, lengths: readonly number[]): unknown[] {
  const checker = new TarChecker(6)
  const seen: unknown[] = []
  const content: string[] = []
  const buffer = Buffer.alloc(4_096)
  try {
    for (let at = 0, turn = 0; at < whole.length; turn += 1) {
      const length = lengths[turn % lengths.length] ?? 1
      const copied = whole.copy(buffer, 0, at, Math.min(at + length, whole.length))
      for (const event of checker.feed(buffer.subarray(0, copied))) {
        if (event.kind === 'entry') seen.push(event.entry)
        else content.push(event.bytes.toString('latin1'))
        if (event.kind === 'content' && event.last) seen.push(content.splice(0).join(''))
      }
      buffer.fill(0xee)
      at += copied
    }
    checker.finish()
  } catch (error) {
    if (!(error instanceof OsflashError)) throw error
    seen.push(error.message)
  }
  return seen
}

const chunkLengths = fc.array(fc.integer({ min: 1, max: 1_500 }), { minLength: 1, maxLength: 9 })
/** Some bytes of a tar replaced. */
const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 })

/** The tar with changed bytes, and every block that may be a header with a right checksum. */
function mutated(changed: readonly (readonly [number, number])[]): Buffer {
  const copy = Buffer.from(tar)
  for (const [place, byte] of changed) {
    const at = place % copy.length
    copy[at] = byte
    const block = copy.subarray(at - (at % 512), at - (at % 512) + 512)
    if (block.toString('latin1', 257, 262) === 'ustar')
      block.write(checksumOf(block), 148, 'latin1')
  }
  return copy
}

describe('chunks', () => {
  test('of any lengths give the same, byte by byte as well', () => {
    const whole = read(tar, [4_096])
    expect(whole).toHaveLength(8)
    expect(read(tar, [1])).toEqual(whole)
    fc.assert(
      fc.property(chunkLengths, (lengths) => {
        expect(read(tar, lengths)).toEqual(whole)
      }),
      { numRuns: 200 },
    )
  })

  test('of any lengths give the same error for a tar that was changed', () => {
    const property = fc.property(chunkLengths, changes, (lengths, changed) => {
      const tree = mutated(changed)
      expect(read(tree, lengths)).toEqual(read(tree, [4_096]))
    })
    fc.assert(property, { numRuns: 300 })
  })
})

/** A changed mode may keep an ordinary user out of a directory of the target. */
function removeTarget(): void {
  try {
    rmSync(target, { recursive: true })
  } catch {
    execFileSync('chmod', ['-R', 'u+rwX', target])
    rmSync(target, { recursive: true })
  }
}

/** Extracts and expects nothing around the target to have changed; true if it was accepted. */
async function stays(tree: Buffer, entries: number): Promise<boolean> {
  const source = join(scratch.path, 'source')
  const before = describeTree(source)
  const sink = openTreeSink({ directory: target, entries })
  const extraction = sink.write(tree).then(() => sink.end())
  try {
    const error = await extraction.catch((cause: unknown) => cause)
    if (error !== undefined) expect(error).toBeInstanceOf(OsflashError)
    expect(readdirSync(scratch.path)).toEqual(['source', 'target'])
    expect(describeTree(source)).toEqual(before)
    return error === undefined
  } finally {
    await sink.abort()
    removeTarget()
  }
}

const name = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'a/b', 'b/a', 'a/b/a', './a', './', 'a/') },
  fc.constantFrom('..', '../source/d/f', 'a/../../source/new', '/tmp/osflash-fuzz', './..', ''),
  fc.constantFrom('a\\b', 'a//b', 'a/./b', 'lost+found', '../target/a', 'a\0b', '.', '...'),
)
const linkName = fc.oneof(
  name,
  fc.constantFrom('../source', '../source/d', '../source/d/f', '..', '/', '/proc/self/cwd'),
)
const hostile = fc
  .record({
    name,
    linkName: fc.option(linkName, { nil: '' }),
    type: fc.constantFrom('0', '0', '1', '2', '2', '5', '5', '5'),
    mode: fc.constantFrom('0000700\0', '0004755\0', '0001777\0'),
    paxPath: fc.option(name),
    paxLink: fc.option(linkName),
  })
  .map(({ paxPath, paxLink, ...fields }): HandMadeEntry => {
    const isLink = fields.type === '1' || fields.type === '2'
    const pax = [
      ...(paxPath === null ? [] : [paxRecord('path', paxPath)]),
      ...(paxLink === null || !isLink ? [] : [paxRecord('linkpath', paxLink)]),
    ]
    const content = fields.type === '0' ? 'content' : ''
    const link = isLink ? fields.linkName : ''
    return { ...fields, linkName: link, content, ...(pax.length > 0 ? { pax } : {}) }
  })

describe('nothing is written outside of the target', () => {
  test('whatever the entries are called and lead to', async () => {
    let accepted = 0
    const trees = fc.array(hostile, { minLength: 1, maxLength: 6 })
    const property = fc.asyncProperty(trees, async (entries) => {
      if (await stays(tarOf(...entries.map(entry)), entries.length)) accepted += 1
    })
    await fc.assert(property, { numRuns: 500 })
    expect(accepted).toBeGreaterThan(10)
  })

  test('whatever bytes of a header change', async () => {
    let accepted = 0
    const property = fc.asyncProperty(changes, async (changed) => {
      if (await stays(mutated(changed), 6)) accepted += 1
    })
    await fc.assert(property, { numRuns: 300 })
    expect(accepted).toBeGreaterThan(10)
  })

  test('whatever bytes come', async () => {
    const bytes = fc.uint8Array({ maxLength: 4_096 })
    const property = fc.asyncProperty(bytes, async (some) => {
      expect(await stays(Buffer.concat([some, END]), 1)).toBe(false)
    })
    await fc.assert(property, { numRuns: 50 })
  })
})
