/** Images through the real stage; the limit is told where one stage is far slower than the rest. */
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openFileSource } from '../../../src/deliver/file.ts'
import type { ProgressEvent } from '../../../src/events.ts'
import { KIB, MIB } from '../../../src/units.ts'
import { type BenchOptions, type BenchReport, benchImage } from '../../../src/unpack/bench/bench.ts'
import { makeFolder, makeKeys, noise, type TestKeys } from '../../pack/image/fixtures.ts'
import { checkFor, gptLayout, packDisk } from '../disk-fixtures.ts'
import { canThrottle, takesDirect, throttledFile } from './throttled-file.ts'

const RAW_BYTES = 24 * MIB + 100 * KIB
const THROTTLE = 20 * MIB

let keys: TestKeys
let folder: Awaited<ReturnType<typeof makeFolder>>
const images = { zstd: '', xz: '', empty: '' }
beforeAll(async () => {
  keys = await makeKeys()
  folder = await makeFolder()
  const disk = gptLayout(64 * MIB)
  const regions = [{ name: 'root', offset: 4 * MIB, raw: noise(RAW_BYTES, 1) }]
  const empty = [{ name: 'root', offset: 4 * MIB, raw: Buffer.alloc(MIB) }]
  for (const codec of ['zstd', 'xz'] as const) {
    const output = join(folder.path, `${codec}.osimg`)
    images[codec] = await packDisk({ folder: folder.path, regions, disk }, keys, { output, codec })
  }
  const output = join(folder.path, 'empty.osimg')
  images.empty = await packDisk({ folder: folder.path, regions: empty, disk }, keys, { output })
})
afterAll(() => folder[Symbol.asyncDispose]())

async function bench(image: string, options: Partial<BenchOptions> = {}): Promise<BenchReport> {
  await using source = await openFileSource(image)
  return await benchImage({
    source,
    check: checkFor(keys),
    identities: [keys.recipient],
    overwrite: false,
    seconds: 0.4,
    emit: () => undefined,
    ...options,
  })
}

it('without a target: everything but writing', async () => {
  const events: ProgressEvent[] = []
  const report = await bench(images.zstd, { workers: 2, emit: (event) => events.push(event) })
  expect(report).toMatchObject({ image: images.zstd, dataBytes: RAW_BYTES, frames: 7, threads: 2 })
  expect(report.packedBytes).toBeLessThan(RAW_BYTES)
  expect(Object.keys(report.stages)).toEqual(['read', 'digest', 'open', 'decompress'])
  expect(report).not.toHaveProperty('target')
  expect(report.verdict.changes.map(({ twice }) => twice)).toEqual(['threads', 'read'])
  const phases = events.flatMap((one) => (one.event === 'phase' ? [[one.phase, one.state]] : []))
  expect(phases.filter(([, state]) => state === 'end').map(([phase]) => phase)).toEqual([
    'opening',
    'measuring',
  ])
  const steps = events.flatMap((one) => (one.event === 'progress' ? [[one.done, one.total]] : []))
  // Reads, threads and all together, two times in turn.
  expect(steps).toEqual([1, 2, 3, 4, 5, 6].map((done) => [done, 6]))
})

it('every rate is a number above zero, and those of the threads count all of them', async () => {
  const { stages, allThreads, together } = await bench(images.zstd, { workers: 3 })
  const rates = [...Object.values(stages), allThreads, together].map((one) => one.bytesPerSecond)
  for (const rate of rates) {
    expect(Number.isFinite(rate)).toBe(true)
    expect(rate).toBeGreaterThan(0)
  }
  for (const { bytesPerSecond, bytesPerSecondPerThread } of [stages.digest, stages.decompress]) {
    expect(bytesPerSecond).toBeCloseTo(3 * bytesPerSecondPerThread)
  }
})

it('with a new target: it is written, and nothing is left of it', async () => {
  await using place = await makeFolder()
  const to = join(place.path, 'disk.img')
  const report = await bench(images.zstd, { to })
  expect(report.target).toMatchObject({ path: to, kind: 'new' })
  expect(report.stages.write?.bytesPerSecond).toBeGreaterThan(0)
  expect(await readdir(place.path)).toEqual([])
})

const throttles = canThrottle()
const why = throttles ? '' : ' (skipped: needs root, /dev/fuse and qemu-storage-daemon)'
it.skipIf(!throttles)(
  `a throttled target is the limit, and twice its rate helps${why}`,
  async () => {
    await using place = await makeFolder()
    await using slow = await throttledFile(place.path, 32 * MIB, THROTTLE)
    expect(await takesDirect(slow.path)).toBe(true)
    const notes: string[] = []
    const { verdict, stages, target } = await bench(images.zstd, {
      to: slow.path,
      overwrite: true,
      seconds: 2,
      emit: (event) => {
        if (event.event === 'note') notes.push(event.text)
      },
    })
    expect(notes[0]).toContain(`overwriting ${slow.path} (file, ${32 * MIB} bytes)`)
    expect(target).toMatchObject({ kind: 'file', direct: true })
    expect(verdict.limit).toBe('write')
    // The throttle lets a tenth of a second through at once.
    expect(stages.write?.bytesPerSecond).toBeLessThan(2 * THROTTLE)
    expect(verdict.changes.find(({ twice }) => twice === 'write')?.gain).toBe(1)
    expect(verdict.changes.find(({ twice }) => twice === 'threads')?.gain).toBe(0)
  },
)

it('one thread on a codec that is slow to open: decompress', async () => {
  const { verdict, threads } = await bench(images.xz, { workers: 1 })
  expect(threads).toBe(1)
  expect(verdict.limit).toBe('decompress')
  expect(verdict.changes.find(({ twice }) => twice === 'threads')?.gain).toBeGreaterThan(0)
})

it('an image without data is refused, before a target is looked at', async () => {
  const refusal = bench(images.empty, { to: '/dev/null', overwrite: true })
  await expect(refusal).rejects.toThrow('it holds no data')
})

it('a target that exists is refused before anything is measured', async () => {
  const phases: string[] = []
  const refusal = bench(images.zstd, {
    to: images.empty,
    emit: (event) => {
      if (event.event === 'phase') phases.push(event.phase)
    },
  })
  await expect(refusal).rejects.toMatchObject({ code: 'refused' })
  expect(phases).not.toContain('measuring')
})

it('nothing of the image gets to the target', async () => {
  await using place = await makeFolder()
  const to = join(place.path, 'old.img')
  await writeFile(to, '')
  await truncate(to, 16 * MIB)
  await bench(images.zstd, { to, overwrite: true })
  const [written, raw] = [await readFile(to), noise(RAW_BYTES, 1)]
  for (let at = 0; at < raw.length - 64; at += MIB) {
    expect(written.includes(raw.subarray(at, at + 64))).toBe(false)
  }
})

it.each([1, 2, 3, 7])('ends when it is cancelled, after %i measurements', async (count) => {
  await using place = await makeFolder()
  const controller = new AbortController()
  const cancelled = bench(images.zstd, {
    to: join(place.path, 'disk.img'),
    signal: controller.signal,
    emit: (event) => {
      if (event.event === 'progress' && event.done === count) controller.abort()
    },
  })
  await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' })
  expect(await readdir(place.path)).toEqual([])
})
