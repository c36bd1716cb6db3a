import { expect, test } from 'vitest'
import { inPhase, type ProgressEvent } from '../src/events.ts'

test('a phase tells its start and its end, and returns the result', async () => {
  const events: ProgressEvent[] = []
  const result = await inPhase(
    (event) => events.push(event),
    'packing',
    async () => 42,
  )
  expect(result).toBe(42)
  expect(events).toEqual([
    { event: 'phase', phase: 'packing', state: 'start' },
    { event: 'phase', phase: 'packing', state: 'end', seconds: expect.any(Number) },
  ])
})

test('a phase that throws tells so, and throws on', async () => {
  const events: ProgressEvent[] = []
  const work = inPhase(
    (event) => events.push(event),
    'packing',
    async () => {
      throw new Error('disk full')
    },
  )
  await expect(work).rejects.toThrow('disk full')
  expect(events[1]).toMatchObject({ phase: 'packing', state: 'end', failed: true })
})
