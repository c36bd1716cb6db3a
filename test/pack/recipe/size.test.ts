import { expect, test } from 'vitest'
import { parseSize } from '../../../src/pack/recipe/size.ts'

test.each([
  ['1', 1],
  ['4096', 4096],
  ['1KiB', 1024],
  ['512MiB', 536_870_912],
  ['3GiB', 3_221_225_472],
  ['2TiB', 2_199_023_255_552],
])('%s is %i bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each(['', '0', '1 GiB', '1GB', '-1', '1.5GiB', '99999999999999TiB'])(
  '%o is no size',
  (text) => {
    expect(() => parseSize(text)).toThrow(RangeError)
  },
)
