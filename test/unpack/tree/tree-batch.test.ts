import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type TreePath, treePath } from '../../../src/format/tree/tree-path.ts'
import { MIB } from '../../../src/units.ts'
import {
  BATCH_BYTES,
  BatchWriter,
  readBatch,
  type TreeRecord,
} from '../../../src/unpack/tree/tree-batch.ts'

const slot = () => new Uint8Array(new SharedArrayBuffer(BATCH_BYTES))
const set = { uid: 0, gid: 4_294_967_294, mode: 0o4755, mtime: -1.5 }
const content = (bytes: number) => ({ from: 2 ** 40, bytes })

const latin1 = (maxLength: number) =>
  fc
    .array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength })
    .map((codes) => String.fromCharCode(...codes))
const path = latin1(255).map((name) => treePath(`d/${name.replaceAll(/[./]/g, '_')}`))
const settable = fc.record({
  uid: fc.integer({ min: -1, max: 2 ** 32 - 2 }),
  gid: fc.integer({ min: -1, max: 2 ** 32 - 2 }),
  mode: fc.integer({ min: -1, max: 0o7777 }),
  mtime: fc.double({ noNaN: true, min: -1e12, max: 1e12 }),
})
const range = fc.record({ from: fc.maxSafeNat(), bytes: fc.integer({ min: 0, max: 4 * MIB }) })
const place = fc.record({ fd: fc.nat(1e6), position: fc.maxSafeNat() })
const record = fc.oneof(
  fc.record({ kind: fc.constant('file' as const), path, set: settable, content: range }),
  fc.record({ kind: fc.constant('piece' as const), path, content: range, to: place }),
  fc.record({ kind: fc.constant('symlink' as const), path, set: settable, target: latin1(4_096) }),
  fc.record({ kind: fc.constant('directory' as const), path, set: settable }),
)

describe('a batch', () => {
  test('gives back what was put in', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 300 }), latin1(100), (records, directory) => {
        const bytes = slot()
        const writer = new BatchWriter(bytes, `/${directory}`)
        const taken: TreeRecord[] = []
        for (const one of records) {
          if (writer.full) break
          writer.add(one)
          taken.push(one)
        }
        const batch = readBatch(bytes)
        expect(batch.directory).toBe(`/${directory}`)
        expect([...batch.records]).toEqual(taken)
      }),
      { numRuns: 50 },
    )
  })

  test('takes the tree itself, which has no name', () => {
    const bytes = slot()
    new BatchWriter(bytes, '/target').add({ kind: 'directory', path: treePath('.'), set })
    expect([...readBatch(bytes).records]).toEqual([{ kind: 'directory', path: '', set }])
  })

  test('of a used slot holds nothing of before', () => {
    const bytes = slot()
    const first = new BatchWriter(bytes, '/target')
    for (let i = 0; i < 9; i += 1) first.add({ kind: 'directory', path: treePath(`d${i}`), set })
    new BatchWriter(bytes, '/target').add({ kind: 'directory', path: treePath('one'), set })
    expect([...readBatch(bytes).records]).toHaveLength(1)
  })

  test('is full of many records', () => {
    const writer = new BatchWriter(slot(), '/target')
    let added = 0
    while (!writer.full) {
      writer.add({ kind: 'file', path: treePath('a'), set, content: content(1) })
      added += 1
    }
    expect(added).toBe(128)
  })

  test('is full of much content', () => {
    const writer = new BatchWriter(slot(), '/target')
    writer.add({ kind: 'file', path: treePath('a'), set, content: content(MIB - 1) })
    expect(writer.full).toBe(false)
    writer.add({ kind: 'file', path: treePath('b'), set, content: content(1) })
    expect(writer.full).toBe(true)
  })

  test('is full before the longest names do not fit', () => {
    const bytes = slot()
    const writer = new BatchWriter(bytes, `/${'t'.repeat(4_000)}`)
    const long = treePath(Array.from({ length: 16 }, () => 'n'.repeat(255)).join('/'))
    const target = 'l'.repeat(4_096)
    let added = 0
    for (; !writer.full; added += 1) writer.add({ kind: 'symlink', path: long, set, target })
    const records = [...readBatch(bytes).records]
    expect(records).toHaveLength(added)
    expect(records.at(-1)).toEqual({ kind: 'symlink', path: long, set, target })
  })

  test.each(['../outside', '/outside', 'a/../../b'])('is read with care: %s', (outside) => {
    const bytes = slot()
    const writer = new BatchWriter(bytes, '/target')
    // What no checker lets through, and what a fault of this program might write all the same.
    writer.add({ kind: 'directory', path: outside as TreePath, set })
    expect(() => [...readBatch(bytes).records]).toThrow(expect.objectContaining({ code: 'format' }))
  })
})
