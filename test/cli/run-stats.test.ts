import { expect, test } from 'vitest'
import { collectStats, type RunStats } from '../../src/cli/run-stats.ts'
import type { ProgressEvent } from '../../src/events.ts'

const stages = {
  threads: 2,
  digest: 1,
  open: 1,
  decompress: 2,
  compare: 0,
  entries: 0,
  read: 1,
  sink: 1,
}

/** A phase begins (`+writing`) or ends (`-writing`) at this second. */
type Step = readonly [second: number, phase: string]

interface Collected {
  readonly seen: readonly ProgressEvent[]
  readonly stats: RunStats
}

/** A run that starts at second 10, with a main thread that works from `busyFrom` on. */
function collect(steps: readonly Step[], busyFrom = 0): Collected {
  let nowMs = 10_000
  const clock = { nowMs: () => nowMs, activeMs: () => Math.max(0, nowMs - busyFrom * 1_000) }
  const seen: ProgressEvent[] = []
  const collector = collectStats((event) => seen.push(event), clock)
  const begun = new Map<string, number>()
  for (const [second, step] of steps) {
    nowMs = second * 1_000
    const phase = step.slice(1)
    const seconds = second - (begun.get(phase) ?? second)
    if (step.startsWith('+')) begun.set(phase, second)
    const part = step.startsWith('+')
      ? { state: 'start' as const }
      : { state: 'end' as const, seconds }
    collector.emit({ event: 'phase', phase, ...part })
  }
  return { seen, stats: collector.finish(stages, 1_000) }
}

test('every event goes on to its reader', () => {
  const events: ProgressEvent[] = [
    { event: 'phase', phase: 'writing', state: 'start' },
    { event: 'progress', phase: 'writing', done: 1, total: 2, unit: 'bytes' },
    { event: 'note', text: 'x' },
    { event: 'phase', phase: 'writing', state: 'end', seconds: 1 },
  ]
  const seen: ProgressEvent[] = []
  const collector = collectStats((event) => seen.push(event))
  for (const event of events) collector.emit(event)
  expect(seen).toEqual(events)
})

test('phases of one name add up; those that move frames are the time of the split', () => {
  const { stats } = collect([
    ...([
      [10, '+opening'],
      [15, '-opening'],
    ] as const),
    ...([
      [15, '+writing'],
      [16.5, '-writing'],
    ] as const),
    ...([
      [20, '+writing'],
      [20.25, '-writing'],
    ] as const),
    ...([
      [20.25, '+flushing'],
      [20.5, '-flushing'],
    ] as const),
    ...([
      [20.5, '+finishing'],
      [23, '-finishing'],
    ] as const),
  ])
  expect(stats.startSeconds).toBe(10)
  expect(stats.phases).toEqual({ opening: 5, writing: 1.75, flushing: 0.25, finishing: 2.5 })
  expect(stats.split).toMatchObject({ seconds: 2, bytesPerSecond: 500, busy: 1 })
  expect(stats.stages).toBe(stages)
})

test('phases that overlap count once', () => {
  const { stats } = collect([
    [10, '+writing'],
    [11, '+verifying'],
    [13, '-writing'],
    [14, '-verifying'],
  ])
  expect(stats.phases).toEqual({ writing: 3, verifying: 3 })
  expect(stats.split).toMatchObject({ seconds: 4, busy: 0.5 })
})

test('a tree is extracted, which moves frames as well', () => {
  const { stats } = collect([
    [10, '+extracting'],
    [14, '-extracting'],
  ])
  expect(stats.split).toMatchObject({ seconds: 4, busy: 0.5 })
})

test('the main thread counts only while frames are moved', () => {
  const steps: readonly Step[] = [
    [10, '+opening'],
    [12, '-opening'],
    [12, '+writing'],
    [16, '-writing'],
    [16, '+finishing'],
    [20, '-finishing'],
  ]
  expect(collect(steps, 15).stats.split.mainBusy).toBe(0.25)
  expect(collect(steps, 0).stats.split.mainBusy).toBe(1)
  expect(collect(steps, 16).stats.split.mainBusy).toBe(0)
})

test('a run that moved nothing', () => {
  expect(collect([]).stats.split).toMatchObject({ seconds: 0, mainBusy: 0, bytesPerSecond: 0 })
})

test('without a clock of its own it is that of this process, and so is the memory', async () => {
  // The event loop counts from its second turn on.
  await new Promise((resolve) => setImmediate(resolve))
  const before = performance.now() / 1_000
  const collector = collectStats(() => undefined)
  collector.emit({ event: 'phase', phase: 'writing', state: 'start' })
  const untilMs = performance.now() + 20
  while (performance.now() < untilMs);
  collector.emit({ event: 'phase', phase: 'writing', state: 'end', seconds: 0.02 })
  const { startSeconds, peakBytes, split } = collector.finish(stages, 1_000)
  expect(startSeconds).toBeGreaterThanOrEqual(before)
  expect(split.seconds).toBeGreaterThanOrEqual(0.02)
  expect(split.mainBusy).toBeGreaterThan(0)
  // Node itself takes more than 20 MB.
  expect(peakBytes).toBeGreaterThan(20e6)
})
