/** The outer tar: one spelling of a header, and the places of all members. */
import { describe, expect, it } from 'vitest'
import type { Manifest } from '../../src/format/manifest.ts'
import { imageBytes, placeMembers, segmentMember } from '../../src/format/members.ts'
import {
  encodeTarHeader,
  parseTarHeader,
  tarArchiveBytes,
  tarMemberBytes,
} from '../../src/format/tar-header.ts'
import { makeKeys } from '../pack/image/fixtures.ts'
import { pattern } from '../vectors/cases.ts'
import { composeMembers, frame } from '../vectors/compose.ts'

const member = { name: 'keys.pgp', bytes: 1_234, mtime: 1_700_000_000, checksum: 'ab'.repeat(15) }

describe('tar headers', () => {
  it('are read back', () => {
    expect(parseTarHeader(encodeTarHeader(member), 0)).toEqual(member)
    const { checksum: _, ...plain } = member
    expect(parseTarHeader(encodeTarHeader(plain), 0)).toEqual(plain)
    expect(parseTarHeader(new Uint8Array(512), 0)).toBeUndefined()
  })

  it('have one spelling: no bit may be another', () => {
    const header = encodeTarHeader(member)
    const accepted: string[] = []
    for (let bit = 0; bit < 512 * 8; bit += 1) {
      const flipped = Buffer.from(header)
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      try {
        parseTarHeader(flipped, 1_024)
        accepted.push(`bit ${bit & 7} of byte ${bit >> 3}`)
      } catch (error) {
        expect(error).toMatchObject({ code: 'format', data: { byte: 1_024 } })
      }
    }
    expect(accepted).toEqual([])
  })

  it('refuse names and sizes that do not fit', () => {
    expect(() => encodeTarHeader({ ...member, name: 'x'.repeat(101) })).toThrow(/name too long/)
    expect(() => encodeTarHeader({ ...member, bytes: 8 ** 11 })).toThrow(/does not fit/)
    expect(() => encodeTarHeader({ ...member, bytes: 8 ** 11 - 1 })).not.toThrow()
  })

  it.each([
    [0, 512],
    [1, 1_024],
    [512, 1_024],
    [513, 1_536],
  ])('a member of %i bytes takes %i', (bytes, taken) => {
    expect(tarMemberBytes(bytes)).toBe(taken)
  })

  it('an archive ends with two blocks of zeros, in whole records', () => {
    expect(tarArchiveBytes(0)).toBe(10_240)
    expect(tarArchiveBytes(9_216)).toBe(10_240)
    expect(tarArchiveBytes(9_217)).toBe(20_480)
  })
})

describe('places', () => {
  it('number segments with three digits, or more', () => {
    expect(segmentMember('root', 7, 'zstd')).toBe('payloads/root.007.zst.pgp')
    expect(segmentMember('root', 1_000, 'xz')).toBe('payloads/root.1000.xz.pgp')
  })

  it('follow from the manifest', async () => {
    const keys = await makeKeys()
    const raw = pattern(700, 1)
    const members = await composeMembers({
      payload: {
        name: 'tree',
        place: { kind: 'tree', entries: 1 },
        rawBytes: 700,
        extents: [{ offset: 0, length: 700, kind: 'data' }],
        segments: [[frame(raw)]],
      },
      signers: [keys.signer],
      recipients: [keys.recipientCert],
    })
    const manifest: Manifest = JSON.parse(Buffer.from(members[0]?.content ?? []).toString())
    const placed = placeMembers(manifest, 4_096)
    expect(placed.map(({ name }) => name)).toEqual([
      'payloads/tree.index',
      'payloads/tree.000.zst.pgp',
    ])
    const [index, segment] = placed
    expect(index).toMatchObject({ headerOffset: 4_096, contentOffset: 4_608 })
    expect(segment?.headerOffset).toBe(4_096 + tarMemberBytes(index?.bytes ?? 0))
    expect(imageBytes(placed, 4_096) % 10_240).toBe(0)
    expect(imageBytes([], 512)).toBe(10_240)
  })
})
