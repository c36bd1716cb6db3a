import { expect, test } from 'vitest'
import { collectStats } from '../../src/cli/run-stats.ts'
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
const start = (phase: string): ProgressEvent => ({ event: 'phase', phase, state: 'start' })
const end = (phase: string, seconds: number): ProgressEvent => ({
  event: 'phase',
  phase,
  state: 'end',
  seconds,
})

function collect(events: readonly ProgressEvent[]) {
  const seen: ProgressEvent[] = []
  const collector = collectStats((event) => seen.push(event))
  for (const event of events) collector.emit(event)
  return { seen, stats: collector.finish(stages, 1_000) }
}

test('every event goes on to its reader', () => {
  const events = [start('writing'), end('writing', 1), { event: 'note', text: 'x' } as const]
  expect(collect(events).seen).toEqual(events)
})

test('phases of one name add up; those that move frames are the time of the split', () => {
  const { stats } = collect([
    ...[start('opening'), end('opening', 5)],
    ...[start('writing'), end('writing', 1.5)],
    ...[start('writing'), end('writing', 0.25)],
    ...[start('flushing'), end('flushing', 0.25)],
    ...[start('verifying'), end('verifying', 3)],
  ])
  expect(stats.phases).toEqual({ opening: 5, writing: 1.75, flushing: 0.25, verifying: 3 })
  expect(stats.split).toMatchObject({ seconds: 2, bytesPerSecond: 500, busy: 1 })
  expect(stats.stages).toBe(stages)
})

test('a tree is extracted, which moves frames as well', () => {
  const { stats } = collect([start('extracting'), end('extracting', 4)])
  expect(stats.split).toMatchObject({ seconds: 4, busy: 0.5 })
})

test('start and memory are those of this process', () => {
  const before = performance.now() / 1_000
  const { stats } = collect([])
  expect(stats.startSeconds).toBeGreaterThanOrEqual(before)
  expect(stats.startSeconds).toBeLessThanOrEqual(performance.now() / 1_000)
  // Node itself takes more than 20 MB, and no test more than a machine has.
  expect(stats.peakBytes).toBeGreaterThan(20e6)
  expect(stats.split.mainBusy).toBe(0)
})

test('the main thread is busy where it works in a phase that moves frames', async () => {
  // The loop counts from its second turn on.
  await new Promise((resolve) => setImmediate(resolve))
  const work = (): void => {
    const untilMs = performance.now() + 50
    while (performance.now() < untilMs);
  }
  const collector = collectStats(() => undefined)
  collector.emit(start('opening'))
  work()
  collector.emit(end('opening', 0.05))
  collector.emit(start('writing'))
  collector.emit(end('writing', 0.05))
  expect(collector.finish(stages, 1).split.mainBusy).toBeLessThan(1)
  collector.emit(start('writing'))
  work()
  collector.emit(end('writing', 0.000_1))
  expect(collector.finish(stages, 1).split.mainBusy).toBeGreaterThan(0.5)
})
