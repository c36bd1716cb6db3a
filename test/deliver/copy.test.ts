/** Copying a source: in order, so that the length says how far it is. */
import { type FileHandle, open, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { copySource } from '../../src/deliver/copy.ts'
import { openFileSource } from '../../src/deliver/file.ts'
import { openHttpSource } from '../../src/deliver/http.ts'
import type { Source } from '../../src/deliver/source.ts'
import { OsflashError } from '../../src/errors.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { MIB } from '../../src/units.ts'
import { FILE, sendGood, serve } from './hostile-server.ts'

const BYTES = Buffer.alloc(21 * MIB + 7, Buffer.from([...FILE.subarray(0, 4_093)]))

async function destination(): Promise<{ file: FileHandle; path: string }> {
  const scratch = await makeScratch('copy')
  const path = join(scratch.path, 'copy.part')
  const file = await open(path, 'w+')
  onTestFinished(async () => {
    await file.close()
    await scratch[Symbol.asyncDispose]()
  })
  return { file, path }
}

/** A source in memory whose reads end when the test wants, with the offsets that were asked. */
function memorySource(before: (offset: number) => Promise<void>): Source & { asked: number[] } {
  const asked: number[] = []
  return {
    name: 'memory',
    bytes: BYTES.length,
    asked,
    read: async (offset, into) => {
      asked.push(offset)
      await before(offset)
      into.set(BYTES.subarray(offset, offset + into.length))
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

const atOnce = async (): Promise<void> => undefined

test('copies all bytes, and tells how far it is', async () => {
  const to = await destination()
  const told: number[] = []
  await copySource(memorySource(atOnce), to, { from: 0, onProgress: (done) => told.push(done) })
  expect((await readFile(to.path)).equals(BYTES)).toBe(true)
  expect(told).toEqual([4, 8, 12, 16, 20].map((n) => n * MIB).concat(BYTES.length))
})

test.each([1, 4 * MIB, 9 * MIB + 5, BYTES.length])('goes on from byte %d', async (from) => {
  const to = await destination()
  await writeFile(to.path, BYTES.subarray(0, from))
  const source = memorySource(atOnce)
  await copySource(source, to, { from })
  expect((await readFile(to.path)).equals(BYTES)).toBe(true)
  expect(Math.min(Number.POSITIVE_INFINITY, ...source.asked)).toBe(
    from === BYTES.length ? Number.POSITIVE_INFINITY : from,
  )
})

test('a few pieces are read ahead, and written in order', async () => {
  const to = await destination()
  const first = Promise.withResolvers<void>()
  const fourth = Promise.withResolvers<void>()
  const source = memorySource(async (offset) => {
    if (offset === 12 * MIB) fourth.resolve()
    if (offset === 0) await first.promise
  })
  const copying = copySource(source, to, { from: 0 })
  await fourth.promise
  expect(source.asked).toEqual([0, 4 * MIB, 8 * MIB, 12 * MIB])
  expect((await stat(to.path)).size).toBe(0)
  first.resolve()
  await copying
  expect((await readFile(to.path)).equals(BYTES)).toBe(true)
})

test('after a failure the length says what is there', async () => {
  const to = await destination()
  const source = memorySource(async (offset) => {
    if (offset === 8 * MIB) throw new OsflashError('network', 'reading memory: gone')
  })
  await expect(copySource(source, to, { from: 0 })).rejects.toMatchObject({ code: 'network' })
  const { size } = await stat(to.path)
  expect(size).toBe(8 * MIB)
  await copySource(memorySource(atOnce), to, { from: size })
  expect((await readFile(to.path)).equals(BYTES)).toBe(true)
})

test('ends with the signal, between two pieces', async () => {
  const to = await destination()
  const stop = new AbortController()
  const options = { from: 0, signal: stop.signal, onProgress: () => stop.abort() }
  await expect(copySource(memorySource(atOnce), to, options)).rejects.toMatchObject({
    code: 'cancelled',
  })
  expect((await stat(to.path)).size).toBe(4 * MIB)
})

test('a file that is longer than the source is not taken for a part of it', async () => {
  const to = await destination()
  await truncate(to.path, BYTES.length + 1)
  const copying = copySource(memorySource(atOnce), to, { from: BYTES.length + 1 })
  await expect(copying).rejects.toMatchObject({
    code: 'io',
    hints: [`remove ${to.path} and run the same command again`],
  })
})

test('a full disk is told with the byte', async () => {
  await using file = await open('/dev/full', 'r+')
  const copying = copySource(memorySource(atOnce), { file, path: '/dev/full' }, { from: 4 * MIB })
  await expect(copying).rejects.toMatchObject({
    code: 'io',
    message: `writing /dev/full at byte ${4 * MIB}: no space left`,
  })
})

test('a file, and the same over HTTP with resets, become the same copy', async () => {
  const [local, remote] = [await destination(), await destination()]
  await writeFile(local.path, BYTES)
  const server = await serve(
    (asked, response) =>
      asked.number % 2 === 1 ? sendGood(asked, response, { file: BYTES, status: 503 }) : undefined,
    { file: BYTES },
  )
  const limits = { backoffFirstMs: 1, backoffMostMs: 1, attemptsReading: 20 }
  await using source = await openHttpSource(server.url, { limits })
  await copySource(source, remote, { from: 0 })
  const again = await destination()
  await using copied = await openFileSource(remote.path)
  await copySource(copied, again, { from: 0 })
  expect((await readFile(again.path)).equals(await readFile(local.path))).toBe(true)
})
