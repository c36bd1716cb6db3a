import { expect, test } from 'vitest'
import { parseDumpe2fs, unusedRanges } from '../../../src/pack/build/ext4-free.ts'

const TEXT = `Inode count:              32
Block count:              4096
Block size:               4096

Group 0: (Blocks 0-2047)
  Free blocks: 100-115, 130-144, 2000-2047
  Free inodes: 13-16
Group 1: (Blocks 2048-4095)
  Free blocks: 2048-2050, 4000
  Free inodes: 18, 20-32
`

test('free blocks of neighbouring groups join, and runs below 64 KiB are left out', () => {
  expect(unusedRanges(parseDumpe2fs(TEXT))).toEqual([
    { offset: 100 * 4096, length: 16 * 4096 },
    { offset: 2000 * 4096, length: 51 * 4096 },
  ])
})

test('inodes in use are the root and the ordinary ones that are not free', () => {
  expect(parseDumpe2fs(TEXT).usedInodes).toEqual([2, 11, 12, 17, 19])
})

test('anything else is refused', () => {
  expect(() => parseDumpe2fs('')).toThrow(RangeError)
  expect(() => parseDumpe2fs(TEXT.replace('100-115', 'x-115'))).toThrow('not a range: x-115')
})
