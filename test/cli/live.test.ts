import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { liveProgress } from '../../src/cli/live.ts'
import type { ProgressEvent } from '../../src/events.ts'
import { MIB } from '../../src/units.ts'
import { makeClock } from './screen.ts'

/** A stream that says it is a terminal of 80 columns, and keeps what is drawn. */
function makeTerminal() {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 24, fd: 99 })
  let drawn = ''
  stream.on('data', (chunk: Buffer) => {
    drawn += chunk.toString()
  })
  // listr2 wants the type of standard error; it uses write and columns.
  const terminal = stream as unknown as NodeJS.WriteStream
  return { terminal, text: () => stripVTControlCharacters(drawn) }
}

const phase = (name: string, state: 'start' | 'end'): ProgressEvent =>
  state === 'start'
    ? { event: 'phase', phase: name, state }
    : { event: 'phase', phase: name, state, seconds: 2 }
const amount = (name: string, done: number): ProgressEvent => ({
  event: 'progress',
  phase: name,
  done: done * MIB,
  total: 100 * MIB,
  unit: 'bytes',
})

test('a phase is drawn while it runs, and its summary stays', async () => {
  const { terminal, text } = makeTerminal()
  const clock = makeClock()
  const reader = liveProgress(terminal, clock.nowMs)
  reader.emit(phase('writing', 'start'))
  await expect.poll(text, { timeout: 20_000 }).toContain('writing')
  clock.advance(1_000)
  reader.emit(amount('writing', 40))
  await expect.poll(text, { timeout: 20_000 }).toContain('40 % of 100 MiB, 40.0 MiB/s, 1.5 s left')
  reader.emit(amount('writing', 100))
  reader.emit(phase('writing', 'end'))
  await reader.close()
  expect(text().trimEnd()).toMatch(/[✔√] writing: 100 MiB in 2\.0 s, 50\.0 MiB\/s$/)
})

test('a result waits until the display is gone', async () => {
  const { terminal, text } = makeTerminal()
  const reader = liveProgress(terminal, () => performance.now())
  const order: string[] = []
  reader.whenClear(() => order.push('at once'))
  expect(order).toEqual(['at once'])
  reader.emit(phase('writing', 'start'))
  reader.whenClear(() => order.push(/[✔√]/.test(text()) ? 'after the display' : 'too early'))
  reader.emit(phase('writing', 'end'))
  reader.whenClear(() => order.push('last'))
  expect(order).toHaveLength(1)
  await reader.close()
  expect(order).toEqual(['at once', 'after the display', 'last'])
})

test('phases that overlap share one display', async () => {
  const { terminal, text } = makeTerminal()
  const reader = liveProgress(terminal, () => performance.now())
  reader.emit(phase('writing', 'start'))
  reader.emit(phase('reading back', 'start'))
  reader.emit(phase('writing', 'end'))
  reader.emit({ event: 'note', text: 'the disk is slow' })
  reader.emit(phase('reading back', 'end'))
  await reader.close()
  const last = text().slice(text().search(/[✔√](?![\s\S]*[✔√])/))
  expect(last).toMatch(/writing: done in 2\.0 s\s+the disk is slow\s+reading back: done in 2\.0 s/)
})

test('phases that follow one another are displays of their own', async () => {
  const { terminal, text } = makeTerminal()
  const reader = liveProgress(terminal, () => performance.now())
  for (const name of ['packing', 'signing']) {
    reader.emit(phase(name, 'start'))
    reader.emit(phase(name, 'end'))
  }
  await reader.close()
  expect(text()).toMatch(/[✔√] packing: done in 2\.0 s[\s\S]*[✔√] signing: done in 2\.0 s/)
})

test('closing with an open phase draws it as failed', async () => {
  const { terminal, text } = makeTerminal()
  const reader = liveProgress(terminal, () => performance.now())
  reader.emit(phase('writing', 'start'))
  await reader.close()
  expect(text()).toMatch(/[✖×] writing/)
})

test('a phase that failed is drawn as such', async () => {
  const { terminal, text } = makeTerminal()
  const reader = liveProgress(terminal, () => performance.now())
  reader.emit(phase('writing', 'start'))
  reader.emit({ event: 'phase', phase: 'writing', state: 'end', seconds: 1, failed: true })
  await reader.close()
  expect(text()).toMatch(/[✖×] writing: failed after 1\.0 s/)
})
