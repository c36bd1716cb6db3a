import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import {
  encodeTarHeader,
  parseTarHeader,
  tarArchiveBytes,
  tarMemberBytes,
} from '../../src/format/tar-header.ts'
import { checksumOf } from './tree/hand-made-tar.ts'

const MEMBER = { name: 'payloads/root.000.zst.pgp', bytes: 5, mtime: 1_700_000_000 }

/** The header with other bytes at a place, and the checksum that is right then. */
function patched(at: number, bytes: string): Buffer {
  const block = Buffer.from(encodeTarHeader(MEMBER))
  block.write(bytes, at, 'latin1')
  block.write(checksumOf(block), 148, 'latin1')
  return block
}

describe('the header of a member', () => {
  test.each([
    MEMBER,
    { name: 'n'.repeat(100), bytes: 0, mtime: 0 },
    { name: 'keys.pgp', bytes: 8 ** 11 - 1, mtime: 8 ** 11 - 1, checksum: '0f'.repeat(15) },
  ])('is read as it was written: %j', (member) => {
    expect(parseTarHeader(encodeTarHeader(member), 0)).toEqual(member)
  })

  test('is what tar reads', () => {
    const content = Buffer.concat([Buffer.from('12345'), Buffer.alloc(507)])
    const archive = Buffer.concat([encodeTarHeader(MEMBER), content, Buffer.alloc(1024)])
    const list = execFileSync('tar', ['-tv', '--utc', '--numeric-owner'], { input: archive })
    expect(list.toString()).toBe(`-rw-r--r-- 0/0               5 2023-11-14 22:13 ${MEMBER.name}\n`)
  })

  test('is no header when it is zeros', () => {
    expect(parseTarHeader(Buffer.alloc(512), 0)).toBeUndefined()
  })

  test.each([
    ['mode', 100, '0000755'],
    ['owner', 108, '0000001'],
    ['size with a space', 124, '00000000005 '],
    ['size without end', 124, '000000000005'],
    ['size with fewer digits', 124, '5\0\0\0\0\0\0\0\0\0\0\0'],
    ['binary size', 124, '\x80'],
    ['type', 156, '5'],
    ['link name', 157, 'a'],
    ['GNU magic', 257, 'ustar  \0'],
    ['prefix', 345, 'a'],
    ['last byte', 511, 'a'],
    ['no name', 0, '\0'],
    ['bytes after the name', 60, 'a'],
    ['a name that is no UTF-8', 0, '\xff'],
    ['a name that grows when it is decoded', 0, '\xff'.repeat(100)],
  ])('is refused for another spelling: %s', (_, at, bytes) => {
    expect(() => parseTarHeader(patched(at, bytes), 1_024)).toThrow(
      expect.objectContaining({ code: 'format', data: { byte: 1_024 } }),
    )
  })

  test('is refused for a wrong checksum', () => {
    const block = encodeTarHeader(MEMBER)
    block.write('000000\0 ', 148, 'latin1')
    expect(() => parseTarHeader(block, 0)).toThrow(/not an image/)
  })

  test('holds no size of 8 GiB, and no longer name', () => {
    expect(() => encodeTarHeader({ ...MEMBER, bytes: 8 ** 11 })).toThrow(RangeError)
    expect(() => encodeTarHeader({ ...MEMBER, name: 'ä'.repeat(51) })).toThrow(RangeError)
  })
})

test('members are whole blocks, archives whole records', () => {
  expect([0, 1, 512, 513].map(tarMemberBytes)).toEqual([512, 1_024, 1_024, 1_536])
  expect([0, 9_216, 9_217, 10_240].map(tarArchiveBytes)).toEqual([10_240, 10_240, 20_480, 20_480])
})
