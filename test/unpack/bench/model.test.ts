import fc from 'fast-check'
import { expect, test } from 'vitest'
import { judge, type Measured, type StageName } from '../../../src/unpack/bench/model.ts'

const MB = 1e6

/** Four threads that decode 2,000 MB/s between a fast source and a fast target. */
const fast: Measured = {
  read: 4_000 * MB,
  threads: 2_000 * MB,
  threadSeconds: { digest: 1, open: 2, decompress: 7 },
  write: 2_500 * MB,
  together: 1_800 * MB,
  ratio: 2,
}

const cases: readonly [string, Partial<Measured>, StageName][] = [
  ['a target throttled to 200 MB/s', { write: 200 * MB, together: 195 * MB }, 'write'],
  ['one worker and a fast target', { threads: 500 * MB, together: 490 * MB }, 'decompress'],
  ['a source of 100 MB/s', { read: 100 * MB, together: 100 * MB }, 'read'],
  ['no compression', { threadSeconds: { digest: 1, open: 2, decompress: 0.5 } }, 'open'],
  ['a slow digest', { threadSeconds: { digest: 3, open: 2, decompress: 2 } }, 'digest'],
]
test.each(cases)('%s: the limit', (_, change, limit) => {
  expect(judge({ ...fast, ...change }).limit).toBe(limit)
})

test('what is expected is the slowest resource; what was reached is a part of it', () => {
  expect(judge(fast)).toMatchObject({ expectedBytesPerSecond: 2_000 * MB, reached: 0.9 })
})

test('twice the threads helps until the target is the limit', () => {
  const [threads, read, write] = judge(fast).changes
  expect(threads).toEqual({
    twice: 'threads',
    bytesPerSecond: 2_250 * MB,
    gain: 0.25,
    limit: 'write',
  })
  expect(read).toMatchObject({ twice: 'read', gain: 0, bytesPerSecond: fast.together })
  expect(write).toMatchObject({ twice: 'write', gain: 0, limit: 'decompress' })
})

test('a target twice as fast as one that throttles gives twice the rate', () => {
  const { changes } = judge({ ...fast, write: 200 * MB, together: 190 * MB })
  const gains = changes.map(({ twice, gain }) => [twice, gain])
  expect(gains).toEqual([
    ['threads', 0],
    ['read', 0],
    ['write', 1],
  ])
  expect(changes[2]).toMatchObject({ bytesPerSecond: 380 * MB, limit: 'write' })
})

test('without a target nothing is said about one', () => {
  const { write: _, ...unwritten } = fast
  const { changes, limit } = judge({ ...unwritten, threads: 5_000 * MB })
  expect(limit).toBe('read')
  expect(changes.map(({ twice }) => twice)).toEqual(['threads', 'read'])
})

test('a link carries packed bytes: its rate is multiplied by the ratio of the image', () => {
  const { links, linkBitsPerSecond } = judge(fast)
  expect(links).toEqual([
    { bitsPerSecond: 100e6, bytesPerSecond: 25 * MB, limits: true },
    { bitsPerSecond: 1e9, bytesPerSecond: 250 * MB, limits: true },
    { bitsPerSecond: 10e9, bytesPerSecond: 1_800 * MB, limits: false },
  ])
  // 1,800 MB/s of data are 900 MB/s packed.
  expect(linkBitsPerSecond).toBe(7.2e9)
})

const rate = fc.double({ min: 1, max: 1e11, noNaN: true })
const seconds = fc.double({ min: 0, max: 1e4, noNaN: true })
const measured = fc.record(
  {
    read: rate,
    threads: rate,
    threadSeconds: fc.record({ digest: seconds, open: seconds, decompress: seconds }),
    write: rate,
    together: rate,
    ratio: fc.double({ min: 0.5, max: 1_000, noNaN: true }),
  },
  { requiredKeys: ['read', 'threads', 'threadSeconds', 'together', 'ratio'] },
)

test('no change slows down or gains more than its double; one that helps is the limit', () => {
  fc.assert(
    fc.property(measured, (one) => {
      const { changes, limit } = judge(one)
      for (const { twice, gain } of changes) {
        expect(gain).toBeGreaterThanOrEqual(0)
        expect(gain).toBeLessThanOrEqual(1)
        const threads = limit !== 'read' && limit !== 'write'
        if (gain > 0) expect(twice).toBe(threads ? 'threads' : limit)
      }
    }),
  )
})

test('a link that does not limit leaves the rate as it is', () => {
  fc.assert(
    fc.property(measured, (one) => {
      for (const { limits, bytesPerSecond } of judge(one).links) {
        expect(bytesPerSecond < one.together).toBe(limits)
      }
    }),
  )
})
