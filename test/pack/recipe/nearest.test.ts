import { expect, test } from 'vitest'
import { editDistance, nearestWord } from '../../../src/pack/recipe/nearest.ts'

test.each([
  ['', '', 0],
  ['abc', 'abc', 0],
  ['abc', 'acb', 1],
  ['abc', 'ab', 1],
  ['kitten', 'sitting', 3],
  ['', 'abc', 3],
])('the distance of %o and %o is %i', (from, to, distance) => {
  expect(editDistance(from, to)).toBe(distance)
  expect(editDistance(to, from)).toBe(distance)
})

test('the nearest word is near, or there is none', () => {
  expect(nearestWord('hostnme', ['hostname', 'users'])).toBe('hostname')
  expect(nearestWord('zzz', ['hostname', 'users'])).toBeUndefined()
})
