/** Which frames are held in memory, and that they are those of the image. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openFileSource } from '../../../src/deliver/file.ts'
import type { Source } from '../../../src/deliver/source.ts'
import { MIB } from '../../../src/units.ts'
import { chooseWindows, loadSample } from '../../../src/unpack/bench/sample.ts'
import { type FrameJob, frameJobs } from '../../../src/unpack/frame-job.ts'
import { openImage } from '../../../src/unpack/image.ts'
import { loadPayloads } from '../../../src/unpack/payload.ts'
import { makeFolder, makeKeys, noise } from '../../pack/image/fixtures.ts'
import { gptLayout, packDisk } from '../disk-fixtures.ts'

let folder: Awaited<ReturnType<typeof makeFolder>>
let source: Source
let jobs: readonly FrameJob[]
beforeAll(async () => {
  folder = await makeFolder()
  const regions = [
    { name: 'boot', offset: MIB, raw: noise(MIB, 1) },
    { name: 'root', offset: 4 * MIB, raw: noise(30 * MIB, 2) },
  ]
  const disk = gptLayout(64 * MIB)
  const path = await packDisk({ folder: folder.path, regions, disk }, await makeKeys())
  source = await openFileSource(path)
  const payloads = await loadPayloads(await openImage(source, undefined))
  jobs = payloads.flatMap((payload, number) => [...frameJobs(payload, number)])
})
afterAll(async () => {
  await source[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** A job of a large image; only what the choice looks at. */
const frame = (number: number): FrameJob => ({
  payload: 0,
  segment: 0,
  frame: number,
  firstChunk: number,
  lastChunk: number,
  imageOffset: number * MIB,
  sealedBytes: MIB,
  plainSkip: 0,
  packedLength: MIB,
  rawLength: 4 * MIB,
  rawOffset: number * 4 * MIB,
})

it('takes a small image whole, a window for each run that lies in one piece', () => {
  const windows = chooseWindows(jobs)
  expect(windows.flat()).toEqual(jobs)
  expect(windows.map((window) => new Set(window.map(({ payload }) => payload)).size)).toEqual([
    1, 1,
  ])
})

it('takes windows of a large image, spread evenly, of the size that was allowed', () => {
  const large = Array.from({ length: 1_000 }, (_, i) => frame(i))
  const windows = chooseWindows(large, 48 * MIB)
  expect(windows.map(([first]) => first?.frame)).toEqual([0, 125, 250, 375, 500, 625, 750, 875])
  expect(windows.every((window) => window.length === 6)).toBe(true)
})

it('takes at least a frame from each window, even one that is longer than allowed', () => {
  const large = Array.from({ length: 80 }, (_, i) => frame(i))
  const windows = chooseWindows(large, MIB / 2)
  expect(windows.map((window) => window.length)).toEqual([1, 1, 1, 1, 1, 1, 1, 1])
})

it('does not join frames of two segments', () => {
  const two = [frame(0), { ...frame(1), segment: 1 }, { ...frame(2), segment: 1 }]
  expect(chooseWindows(two).map((window) => window.length)).toEqual([1, 2])
})

it('takes nothing of nothing', () => {
  expect(chooseWindows([])).toEqual([])
})

it('gives the bytes of the image, and reads none of them again', async () => {
  let reads = 0
  const counting: Source = {
    ...source,
    read: async (offset, into) => {
      reads += 1
      await source.read(offset, into)
    },
  }
  const sample = await loadSample(counting, jobs)
  const loaded = reads
  for (const job of sample.jobs) {
    const [held, wanted] = [new Uint8Array(job.sealedBytes), new Uint8Array(job.sealedBytes)]
    await sample.source.read(job.imageOffset, held)
    await source.read(job.imageOffset, wanted)
    expect(Buffer.compare(held, wanted)).toBe(0)
  }
  expect(sample.jobs).toHaveLength(jobs.length)
  expect(reads).toBe(loaded)
})

it('asks the image for what it does not hold', async () => {
  const sample = await loadSample(source, jobs.slice(-1))
  const [held, wanted] = [new Uint8Array(512), new Uint8Array(512)]
  await sample.source.read(0, held)
  await source.read(0, wanted)
  expect(Buffer.compare(held, wanted)).toBe(0)
})

it('stops between windows', async () => {
  const loading = loadSample(source, jobs, AbortSignal.abort())
  await expect(loading).rejects.toMatchObject({ code: 'cancelled' })
})
