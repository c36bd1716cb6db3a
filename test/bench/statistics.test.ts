import fc from 'fast-check'
import { expect, test } from 'vitest'
import { spreadOf } from '../../bench/statistics.ts'

test('the median of an odd number is the one in the middle', () => {
  expect(spreadOf([5, 1, 100])).toEqual({ median: 5, min: 1, max: 100 })
})

test('the median of an even number is the mean of the two in the middle', () => {
  expect(spreadOf([4, 1, 2, 100])).toEqual({ median: 3, min: 1, max: 100 })
})

test('one number is its own spread', () => {
  expect(spreadOf([7])).toEqual({ median: 7, min: 7, max: 7 })
})

test('numbers are ordered as numbers, and the list stays as it is', () => {
  const numbers = [10, 9, 100]
  expect(spreadOf(numbers)).toEqual({ median: 10, min: 9, max: 100 })
  expect(numbers).toEqual([10, 9, 100])
})

test('no numbers have no median', () => {
  expect(() => spreadOf([])).toThrow(RangeError)
})

test('order does not matter; half of the numbers are on each side of the median', () => {
  const some = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1 })
  fc.assert(
    fc.property(some, (numbers) => {
      const { median, min, max } = spreadOf(numbers)
      expect(spreadOf([...numbers].reverse())).toEqual({ median, min, max })
      expect(min).toBeLessThanOrEqual(median)
      expect(median).toBeLessThanOrEqual(max)
      const half = numbers.length / 2
      expect(numbers.filter((n) => n < median).length).toBeLessThanOrEqual(half)
      expect(numbers.filter((n) => n > median).length).toBeLessThanOrEqual(half)
    }),
  )
})
