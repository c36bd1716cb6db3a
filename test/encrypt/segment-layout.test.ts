import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  chunkPlace,
  encodeLiteralHeader,
  encodeSegmentHeader,
  parseLiteralHeader,
  parseSegmentHeader,
  SEGMENT_HEADER_BYTES,
  sealedSegmentBytes,
  segmentGeometry,
} from '../../src/encrypt/segment-layout.ts'

const cipher = { aead: 'ocb', chunkOctet: 12, salt: new Uint8Array(32).fill(7) } as const
const GIB = 2 ** 30
const format = expect.objectContaining({ code: 'format' })
const limit = expect.objectContaining({ code: 'limit' })

test('parsing should invert encoding, for every length, octet and mode', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 12, max: GIB + 12 }),
      fc.integer({ min: 6, max: 16 }),
      fc.constantFrom('ocb' as const, 'gcm' as const),
      (plaintextBytes, chunkOctet, aead) => {
        const header = encodeSegmentHeader({ ...cipher, aead, chunkOctet }, plaintextBytes)
        const memberBytes = sealedSegmentBytes({ plaintextBytes, chunkOctet })
        expect(parseSegmentHeader(header, memberBytes)).toEqual({ ...cipher, aead, chunkOctet })
        const geometry = segmentGeometry({ memberBytes, chunkOctet })
        expect(geometry.plaintextBytes).toBe(plaintextBytes)
        const last = chunkPlace(geometry, geometry.chunkCount - 1)
        expect(last.plainOffset + last.plainBytes).toBe(plaintextBytes)
        expect(last.sealedOffset + last.sealedBytes + 16).toBe(memberBytes)
        expect(parseLiteralHeader(encodeLiteralHeader(plaintextBytes - 12), plaintextBytes)).toBe(
          plaintextBytes - 12,
        )
      },
    ),
  )
})

test('chunks lie one after another from octet 42', () => {
  const plaintextBytes = 2 * 4096 + 1
  const memberBytes = sealedSegmentBytes({ plaintextBytes, chunkOctet: 6 })
  const geometry = segmentGeometry({ memberBytes, chunkOctet: 6 })
  expect(geometry.chunkCount).toBe(3)
  expect([0, 1, 2].map((index) => chunkPlace(geometry, index))).toEqual([
    { sealedOffset: 42, sealedBytes: 4112, plainOffset: 0, plainBytes: 4096 },
    { sealedOffset: 4154, sealedBytes: 4112, plainOffset: 4096, plainBytes: 4096 },
    { sealedOffset: 8266, sealedBytes: 17, plainOffset: 8192, plainBytes: 1 },
  ])
  for (const index of [-1, 3, 0.5]) expect(() => chunkPlace(geometry, index)).toThrow(RangeError)
})

test('a length that no plaintext gives is refused', () => {
  for (const memberBytes of [0, 42, 58, 74, 85, SEGMENT_HEADER_BYTES + 16 + 4112 + 16]) {
    expect(() => segmentGeometry({ memberBytes, chunkOctet: 6 })).toThrow(format)
  }
  expect(segmentGeometry({ memberBytes: 86, chunkOctet: 6 }).plaintextBytes).toBe(12)
})

test('more than 1 GiB in a segment is refused, also around 2^31 and 2^32', () => {
  for (const body of [GIB + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1]) {
    expect(() => encodeLiteralHeader(body)).toThrow(limit)
    expect(() => sealedSegmentBytes({ plaintextBytes: body + 12, chunkOctet: 12 })).toThrow(limit)
    const memberBytes = body + 12 + 42 + 16 + 16 * Math.ceil((body + 12) / 2 ** 18)
    expect(() => segmentGeometry({ memberBytes, chunkOctet: 12 })).toThrow(limit)
  }
  expect(encodeLiteralHeader(GIB)).toHaveLength(12)
})

test('a chunk octet outside 6 to 16 is refused, with the limit named', () => {
  for (const [chunkOctet, name] of [
    [5, 'chunkOctetMin'],
    [0, 'chunkOctetMin'],
    [17, 'chunkOctetMax'],
    [255, 'chunkOctetMax'],
  ] as const) {
    const data = expect.objectContaining({ limit: name, value: chunkOctet })
    const error = expect.objectContaining({ code: 'limit', data })
    expect(() => encodeSegmentHeader({ ...cipher, chunkOctet }, 100)).toThrow(error)
    const header = encodeSegmentHeader(cipher, 100)
    header[9] = chunkOctet
    expect(() => parseSegmentHeader(header, 174)).toThrow(error)
  }
})

test.each([
  ['an old-format header', { 0: 0xa7 }, 'packet header in the old format'],
  ['no packet', { 0: 0x52 }, 'no OpenPGP packet'],
  ['tag 20', { 0: 0xd4 }, 'packet with tag 20, not 18 (SEIPD)'],
  ['tag 9', { 0: 0xc9 }, 'packet with tag 9, not 18 (SEIPD)'],
  ['a PKESK before it', { 0: 0xc1 }, 'packet with tag 1, not 18 (SEIPD)'],
  ['a marker before it', { 0: 0xca }, 'packet with tag 10, not 18 (SEIPD)'],
  ['a partial length', { 1: 0xe9 }, 'length that is partial or has not five octets'],
  ['a two-octet length', { 1: 0xc0 }, 'length that is partial or has not five octets'],
  ['another length', { 5: 0 }, 'packet length 0 where 168 belong'],
  ['SEIPD version 1', { 6: 1 }, 'SEIPD version 1, not 2'],
  ['AES-128', { 7: 7 }, 'cipher 7, not 9 (AES-256)'],
  ['EAX', { 8: 1 }, 'AEAD algorithm 1, not 2 (OCB) or 3 (GCM)'],
])('%s is refused', (_, changes, why) => {
  const header = encodeSegmentHeader(cipher, 100)
  const memberBytes = sealedSegmentBytes({ plaintextBytes: 100, chunkOctet: 12 })
  expect(parseSegmentHeader(header, memberBytes)).toEqual(cipher)
  for (const [offset, octet] of Object.entries(changes)) header[Number(offset)] = octet
  expect(() => parseSegmentHeader(header, memberBytes)).toThrow(format)
  if (why)
    expect(() => parseSegmentHeader(header, memberBytes)).toThrow(`reading a segment: ${why}`)
})

test('a salt of another length is a fault of the caller', () => {
  const short = { ...cipher, salt: new Uint8Array(16) }
  expect(() => encodeSegmentHeader(short, 100)).toThrow(RangeError)
})

test('a header cut short is refused', () => {
  expect(() => parseSegmentHeader(new Uint8Array(41), 174)).toThrow(format)
  expect(() => parseLiteralHeader(new Uint8Array(11), 11)).toThrow(format)
})
