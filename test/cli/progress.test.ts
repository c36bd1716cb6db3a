import { expect, test } from 'vitest'
import { jsonProgress, plainProgress } from '../../src/cli/progress.ts'
import type { ProgressEvent } from '../../src/events.ts'
import { MIB } from '../../src/units.ts'
import { makeClock, makeScreen } from './screen.ts'

const start: ProgressEvent = { event: 'phase', phase: 'writing', state: 'start' }
const end: ProgressEvent = { event: 'phase', phase: 'writing', state: 'end', seconds: 2 }
const amount = (done: number, total: number): ProgressEvent => ({
  event: 'progress',
  phase: 'writing',
  done: done * MIB,
  total: total * MIB,
  unit: 'bytes',
})

test('JSON: every event is a line that parses to the event', () => {
  const screen = makeScreen()
  const { emit } = jsonProgress(screen, makeClock().nowMs)
  const note: ProgressEvent = { event: 'note', text: 'line\nbreak' }
  const events = [start, amount(1, 2), note, amount(2, 2), end]
  for (const event of events) emit(event)
  expect(screen.lines().map((line) => JSON.parse(line))).toEqual(events)
})

test('JSON: amounts come at most ten times a second, the last one always', () => {
  const screen = makeScreen()
  const clock = makeClock()
  const { emit } = jsonProgress(screen, clock.nowMs)
  for (let done = 1; done <= 1_000; done++) {
    clock.advance(1)
    emit(amount(done, 1_000))
  }
  const seen = screen.lines().map((line) => JSON.parse(line).done / MIB)
  expect(seen.length).toBeLessThanOrEqual(11)
  expect(seen.at(-1)).toBe(1_000)
})

test('plain: a quick phase is one line', () => {
  const screen = makeScreen()
  const clock = makeClock()
  const { emit } = plainProgress(screen, clock.nowMs)
  emit(start)
  for (let done = 1; done <= 100; done++) {
    clock.advance(1)
    emit(amount(done, 100))
  }
  emit(end)
  expect(screen.text()).toBe('writing: 100 MiB in 2.0 s, 50.0 MiB/s\n')
})

test('plain: a phase of less than a second is no line, failed or not', () => {
  const screen = makeScreen()
  const { emit } = plainProgress(screen, makeClock().nowMs)
  for (const failed of [{}, { failed: true as const }]) {
    emit(start)
    emit({ event: 'phase', phase: 'writing', state: 'end', seconds: 0.99, ...failed })
  }
  expect(screen.text()).toBe('')
  emit(start)
  emit({ event: 'phase', phase: 'writing', state: 'end', seconds: 1 })
  expect(screen.text()).toBe('writing: done in 1.0 s\n')
})

test('plain: a long phase tells every ten per cent', () => {
  const screen = makeScreen()
  const clock = makeClock()
  const { emit } = plainProgress(screen, clock.nowMs)
  emit(start)
  for (let done = 1; done <= 100; done++) {
    clock.advance(200)
    emit(amount(done, 100))
  }
  expect(screen.lines().map((line) => line.split(' of')[0])).toEqual(
    [10, 20, 30, 40, 50, 60, 70, 80, 90].map((part) => `writing: ${part} %`),
  )
})

test('plain: a slow phase tells every five seconds', () => {
  const screen = makeScreen()
  const clock = makeClock()
  const { emit } = plainProgress(screen, clock.nowMs)
  emit(start)
  for (let second = 1; second <= 20; second++) {
    clock.advance(1_000)
    emit(amount(second, 10_000))
  }
  expect(screen.lines()).toHaveLength(4)
})

test('plain: phases that overlap are told apart', () => {
  const screen = makeScreen()
  const clock = makeClock()
  const { emit } = plainProgress(screen, clock.nowMs)
  emit(start)
  emit({ event: 'phase', phase: 'reading back', state: 'start' })
  emit({ event: 'note', text: 'the disk is slow' })
  clock.advance(3_000)
  emit({ event: 'phase', phase: 'writing', state: 'end' })
  emit({ event: 'phase', phase: 'reading back', state: 'end', seconds: 3, failed: true })
  expect(screen.lines()).toEqual([
    'the disk is slow',
    'writing: done in 3.0 s',
    'reading back: failed after 3.0 s',
  ])
})
