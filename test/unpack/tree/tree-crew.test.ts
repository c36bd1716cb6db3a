/** A tree whose entries are made by others, late and in the worst order. */
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeScratch, type Scratch } from '../../../src/system/scratch.ts'
import { makeSlots, slotView } from '../../../src/system/shared-buffers.ts'
import { MIB } from '../../../src/units.ts'
import { makeEntries } from '../../../src/unpack/tree/make-entries.ts'
import { BATCH_BYTES } from '../../../src/unpack/tree/tree-batch.ts'
import type { TreeThreads } from '../../../src/unpack/tree/tree-crew.ts'
import { openTreeSink } from '../../../src/unpack/tree/tree-sink.ts'
import { directory, entry, header, octal, tarOf } from '../../format/tree/hand-made-tar.ts'
import { failureOf } from './extraction.ts'

let scratch: Scratch
let target: string
const openFiles = () => readdirSync('/proc/self/fd').length

beforeEach(async () => {
  scratch = await makeScratch('tree-test')
  target = join(scratch.path, 'target')
})

afterEach(() => scratch[Symbol.asyncDispose]())

/** The real work, done when `release` says so: the batch that came last comes first. */
function lateThreads(slots: number) {
  const content = new SharedArrayBuffer(8 * MIB)
  const batches = makeSlots(slots, BATCH_BYTES)
  const held: (() => void)[] = []
  const threads: TreeThreads = {
    content,
    batches,
    makeEntries: (slot) =>
      new Promise((resolve, reject) => {
        held.push(() => {
          try {
            resolve(makeEntries(slotView(batches, slot), content))
          } catch (error) {
            reject(error)
          }
        })
      }),
  }
  const release = (): void => {
    for (const act of held.splice(0).reverse()) act()
  }
  return { threads, held, release, content }
}

/** Releases whatever comes until the work has ended. */
async function releasing<Result>(release: () => void, work: Promise<Result>): Promise<Result> {
  const settled = work.then(
    () => true,
    () => true,
  )
  while (!(await Promise.race([settled, sleep(1, false)]))) release()
  return work
}

/** Bytes of the tar in the memory that the threads see. */
function put(content: SharedArrayBuffer, bytes: Uint8Array, at: number): Uint8Array {
  const view = new Uint8Array(content, at, bytes.length)
  view.set(bytes)
  return view
}

describe('a tree that threads make', () => {
  const text = Buffer.alloc(5 * MIB, 'the content of a file that spans chunks, ')

  test('is whole when pieces of a file come in the wrong order', async () => {
    const tar = tarOf(directory('d/'), entry({ name: 'd/large', content: text, mode: '0004711\0' }))
    const { threads, held, release, content } = lateThreads(8)
    const sink = openTreeSink({ directory: target, entries: 2, threads })
    const first = await sink.take(put(content, tar.subarray(0, 3 * MIB), 0))
    await sink.take(put(content, tar.subarray(3 * MIB), 3 * MIB))
    expect(held).toHaveLength(2)
    expect(statSync(join(target, 'd/large')).mode & 0o7777).toBe(0o600)
    release()
    await first.made
    await releasing(release, sink.end())
    expect(readFileSync(join(target, 'd/large')).equals(text)).toBe(true)
    const { mode, mtimeMs } = statSync(join(target, 'd/large'))
    expect([mode & 0o7777, mtimeMs]).toEqual([0o4711, 1_700_000_000_000])
    expect(statSync(join(target, 'd'))).toMatchObject({ mtimeMs: 1_700_000_000_000 })
  })

  test('says that a chunk is free only when its files are written', async () => {
    const { threads, held, release, content } = lateThreads(4)
    const sink = openTreeSink({ directory: target, entries: 1, threads })
    const chunk = put(content, tarOf(entry({ name: 'a', content: 'abc' })), 0)
    const { made } = await sink.take(chunk)
    expect(await Promise.race([made.then(() => 'free'), sleep(20, 'in use')])).toBe('in use')
    expect(held).toHaveLength(1)
    release()
    await made
    chunk.fill(0xee)
    await sink.end()
    expect(readFileSync(join(target, 'a'), 'utf8')).toBe('abc')
  })

  test('waits where all slots are under way', async () => {
    const { threads, held, release, content } = lateThreads(1)
    const names = Array.from({ length: 300 }, (_, i) => `f${i}`)
    const sink = openTreeSink({ directory: target, entries: names.length, threads })
    const chunk = put(content, tarOf(...names.map((name) => entry({ name, content: name }))), 0)
    const taken = sink.take(chunk)
    await sleep(20)
    expect(held).toHaveLength(1)
    await releasing(
      release,
      taken.then(({ made }) => made),
    )
    await sink.end()
    expect(readdirSync(target).sort()).toEqual(names.toSorted())
    for (const name of names) expect(readFileSync(join(target, name), 'utf8')).toBe(name)
  })

  test('links to files that are still to come', async () => {
    const { threads, release, content } = lateThreads(4)
    const sink = openTreeSink({ directory: target, entries: 3, threads })
    const link = entry({ name: 'b', type: '1', linkName: 'a' })
    const more = entry({ name: 'c', type: '1', linkName: 'b' })
    await sink.take(put(content, tarOf(entry({ name: 'a', content: 'abc' }), link, more), 0))
    expect(existsSync(join(target, 'a'))).toBe(false)
    await releasing(release, sink.end())
    expect(statSync(join(target, 'c')).ino).toBe(statSync(join(target, 'a')).ino)
    expect(statSync(join(target, 'b')).nlink).toBe(3)
  })

  test('leaves zeros without a frame as holes, also at the end', async () => {
    const zeros = Buffer.alloc(MIB)
    const size = octal(3 * MIB + 3)
    for (const [name, parts] of [
      ['middle', [Buffer.from('abc'), zeros, zeros, Buffer.alloc(MIB, 'x')]],
      ['end', [Buffer.alloc(MIB + 3, 'y'), zeros, zeros]],
      ['all', [zeros, zeros, zeros, Buffer.alloc(3)]],
    ] as const) {
      const sink = openTreeSink({ directory: join(scratch.path, name), entries: 1 })
      await sink.write(header({ name, size }))
      for (const part of parts) await sink.take(part, part === zeros)
      await sink.write(Buffer.alloc(512 - 3 + 1_024))
      await sink.end()
      const path = join(scratch.path, name, name)
      expect(readFileSync(path).equals(Buffer.concat(parts))).toBe(true)
      expect(statSync(path).blocks * 512).toBeLessThan(2 * MIB)
      expect(statSync(path).mtimeMs).toBe(1_700_000_000_000)
    }
  })
})

describe('a thread that fails', () => {
  test('stops the tree, names the entry, and leaves nothing open', async () => {
    const before = openFiles()
    const { threads, release, content } = lateThreads(4)
    const sink = openTreeSink({ directory: target, entries: 3, threads })
    const large = header({ name: 'large', size: octal(MIB) })
    const small = entry({ name: 'taken', content: 'abc' })
    const { made } = await sink.take(
      put(content, Buffer.concat([small, large, Buffer.alloc(512)]), 0),
    )
    symlinkSync('elsewhere', join(target, 'taken'))
    const failed = failureOf(made)
    release()
    const error = await failed
    expect(error).toMatchObject({ code: 'io', data: { errno: 'EEXIST' } })
    expect(error.message).toBe('making "taken" of the tree: already exists')
    expect(await failureOf(sink.take(Buffer.alloc(512)))).toBe(error)
    expect(await failureOf(sink.end())).toBe(error)
    await sink.abort()
    expect(existsSync(join(scratch.path, 'elsewhere'))).toBe(false)
    expect(openFiles()).toBe(before)
  })

  test('late: descriptors stay open until its pieces are written', async () => {
    const before = openFiles()
    const { threads, held, release, content } = lateThreads(4)
    const sink = openTreeSink({ directory: target, entries: 1, threads })
    const large = Buffer.concat([header({ name: 'large', size: octal(MIB) }), Buffer.alloc(512)])
    await sink.take(put(content, large, 0))
    const aborted = sink.abort()
    expect(await Promise.race([aborted, sleep(20, 'waits')])).toBe('waits')
    expect(held).toHaveLength(1)
    expect(openFiles()).toBe(before + 1)
    await releasing(release, aborted)
    expect(statSync(join(target, 'large')).size).toBe(512)
    expect(openFiles()).toBe(before)
  })
})
