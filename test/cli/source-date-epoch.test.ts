import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sourceDateEpoch } from '../../src/cli/source-date-epoch.ts'

test('seconds are taken as they are', () => {
  fc.assert(
    fc.property(fc.nat(99_999_999_999), (seconds) => {
      expect(sourceDateEpoch({ SOURCE_DATE_EPOCH: String(seconds) })).toBe(seconds)
    }),
  )
})

test.each([undefined, ''])('without it (%j) the time is now', (value) => {
  const before = Math.floor(Date.now() / 1000)
  const seconds = sourceDateEpoch({ SOURCE_DATE_EPOCH: value })
  expect(seconds).toBeGreaterThanOrEqual(before)
  expect(seconds).toBeLessThanOrEqual(Math.floor(Date.now() / 1000))
  expect(Number.isInteger(seconds)).toBe(true)
})

test.each(['-1', '1.5', '1e9', ' 1', '0x10', 'now', '2023-11-14', '100000000000'])(
  '%j is refused with what to type',
  (value) => {
    expect(() => sourceDateEpoch({ SOURCE_DATE_EPOCH: value })).toThrow(
      expect.objectContaining({
        code: 'usage',
        message: `SOURCE_DATE_EPOCH is "${value}": not a number of seconds`,
        hints: ['SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)'],
      }),
    )
  },
)
