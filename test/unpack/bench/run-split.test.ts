import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type EndedRun, splitRun } from '../../../src/unpack/bench/run-split.ts'

/** Four threads that were busy for 3.5 of 4 seconds. */
const busy: EndedRun = {
  stages: {
    threads: 4,
    digest: 0.25,
    open: 0.5,
    decompress: 2.75,
    compare: 0,
    entries: 0,
    read: 0.5,
    sink: 2,
  },
  bytes: 2e9,
  seconds: 1,
  flushSeconds: 0,
  mainBusy: 0.3,
}
/** The same work in three times the time. */
const waiting: EndedRun = { ...busy, seconds: 3 }
const stagesWith = (change: Partial<EndedRun['stages']>) => ({
  stages: { ...busy.stages, ...change },
})

test('threads that are busy are the limit: the stage that takes most of them', () => {
  expect(splitRun(busy)).toMatchObject({ busy: 0.875, limit: 'decompress', bytesPerSecond: 2e9 })
  const opening = stagesWith({ open: 2.75, decompress: 0.5 })
  expect(splitRun({ ...busy, ...opening }).limit).toBe('open')
})

test('threads that wait for a full sink: write', () => {
  const split = splitRun({ ...waiting, ...stagesWith({ sink: 24, read: 3 }) })
  expect(split.limit).toBe('write')
  expect(split.waitingSeconds).toBeCloseTo(12 - 3.5)
})

test('threads that wait for the source: read', () => {
  expect(splitRun({ ...waiting, ...stagesWith({ sink: 1, read: 15 }) }).limit).toBe('read')
})

test('writing that was put off to the flush is writing', () => {
  const run = { ...waiting, ...stagesWith({ sink: 0.5, read: 1 }) }
  expect(splitRun(run).limit).toBe('read')
  expect(splitRun({ ...run, flushSeconds: 2 }).limit).toBe('write')
})

test('reads that end late because the main thread makes entries are not the limit', () => {
  const tree = { ...waiting, ...stagesWith({ sink: 20, read: 40 }) }
  expect(splitRun({ ...tree, mainBusy: 0.95 }).limit).toBe('write')
  expect(splitRun({ ...tree, mainBusy: 0.5 }).limit).toBe('read')
})

test('threads that make files are at writing', () => {
  expect(splitRun({ ...waiting, ...stagesWith({ entries: 8 }) }).limit).toBe('write')
  expect(splitRun({ ...busy, ...stagesWith({ entries: 0.5 }) }).limit).toBe('decompress')
})

test('comparing what was read back is work of the threads', () => {
  expect(splitRun({ ...busy, ...stagesWith({ compare: 0.5 }) })).toMatchObject({
    busy: 1,
    waitingSeconds: 0,
  })
})

test('a run without frames has no rates', () => {
  const nothing = stagesWith({ digest: 0, open: 0, decompress: 0, read: 0, sink: 0 })
  expect(splitRun({ ...busy, ...nothing, bytes: 0, seconds: 0 })).toMatchObject({
    busy: 0,
    bytesPerSecond: 0,
    waitingSeconds: 0,
  })
})

test('parts stay parts, whatever the clocks say', () => {
  const seconds = fc.double({ min: 0, max: 1e5, noNaN: true })
  const stages = fc.record({
    threads: fc.integer({ min: 1, max: 256 }),
    digest: seconds,
    open: seconds,
    decompress: seconds,
    compare: seconds,
    read: seconds,
    sink: seconds,
    entries: seconds,
  })
  fc.assert(
    fc.property(stages, seconds, seconds, (one, all, flushSeconds) => {
      const run = { stages: one, bytes: 1, seconds: all, flushSeconds, mainBusy: 0 }
      const split = splitRun(run)
      expect(split.busy).toBeGreaterThanOrEqual(0)
      expect(split.busy).toBeLessThanOrEqual(1)
      expect(split.waitingSeconds).toBeGreaterThanOrEqual(0)
    }),
  )
})
