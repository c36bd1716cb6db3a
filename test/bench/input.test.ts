import { expect, test } from 'vitest'
import { sample } from '../../bench/input.ts'

const files = Array.from({ length: 200 }, (_, i) => ({ path: `/usr/file-${i}`, bytes: 100 + i }))
const sum = (chosen: typeof files) => chosen.reduce((bytes, file) => bytes + file.bytes, 0)

test('files are taken until the wanted bytes are reached, and not beyond', () => {
  const chosen = [...sample(files, 10_000)]
  expect(sum(chosen)).toBeLessThanOrEqual(10_000)
  expect(sum(chosen)).toBeGreaterThan(9_500)
  expect(new Set(chosen).size).toBe(chosen.length)
})

test('the choice does not depend on the order of the list', () => {
  expect(sample([...files].reverse(), 10_000)).toEqual(sample(files, 10_000))
})

test('a file that would be most of the input is left out', () => {
  const huge = { path: '/usr/huge', bytes: 9_000 }
  expect(sample([...files, huge], 10_000)).not.toContain(huge)
})

test('a small installation gives all it has', () => {
  expect(sample(files, 1_000_000_000)).toHaveLength(200)
})
