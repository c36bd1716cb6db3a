import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cutPackets } from '../../src/encrypt/packet-list.ts'
import { LIMITS } from '../../src/format/limits.ts'

const rule = {
  tag: 2,
  place: 'manifest.json.sig',
  countLimit: 'signatures',
  bytesLimit: 'signatureBytes',
} as const

function framed(bodyBytes: number, form: 'one' | 'two' | 'five' | 'old1' | 'old2' | 'old4') {
  const body = new Uint8Array(bodyBytes).fill(0x61)
  const header = {
    one: [0xc2, bodyBytes],
    two: [0xc2, ((bodyBytes - 192) >> 8) + 192, (bodyBytes - 192) & 0xff],
    five: [0xc2, 0xff, 0, 0, bodyBytes >> 8, bodyBytes & 0xff],
    old1: [0x88, bodyBytes],
    old2: [0x89, bodyBytes >> 8, bodyBytes & 0xff],
    old4: [0x8a, 0, 0, bodyBytes >> 8, bodyBytes & 0xff],
  }[form]
  return Buffer.concat([Uint8Array.from(header), body])
}

test('cutting should invert joining, in every form of length', () => {
  const packet = fc.oneof(
    fc.tuple(fc.integer({ min: 0, max: 191 }), fc.constantFrom('one' as const, 'old1' as const)),
    fc.tuple(fc.integer({ min: 192, max: 8383 }), fc.constant('two' as const)),
    fc.tuple(
      fc.integer({ min: 0, max: 16_000 }),
      fc.constantFrom('five' as const, 'old2' as const, 'old4' as const),
    ),
  )
  fc.assert(
    fc.property(fc.array(packet, { minLength: 1, maxLength: 16 }), (shapes) => {
      const packets = shapes.map(([bytes, form]) => framed(bytes, form))
      const cut = cutPackets(Buffer.concat(packets), rule)
      expect(cut.map((one) => one.body.length)).toEqual(shapes.map(([bytes]) => bytes))
      expect(Buffer.concat(cut.map((one) => one.packet))).toEqual(Buffer.concat(packets))
    }),
  )
})

test.each([
  ['nothing', [], 'no packet'],
  ['text', [0x2d, 0x2d], 'no OpenPGP packet'],
  ['another packet', [0xc1, 0], 'packet with tag 1, not 2'],
  ['another packet behind a good one', [0xc2, 0, 0xca, 3, 0x50, 0x47, 0x50], 'at byte 2'],
  ['a partial length', [0xc2, 0xe1, 0, 0], 'packet of partial or unknown length'],
  ['an indeterminate length', [0x8b, 0, 0], 'packet of partial or unknown length'],
  ['a body cut short', [0xc2, 2, 0], 'packet cut short'],
  ['a length cut short', [0xc2, 0xff, 0, 0], 'packet cut short'],
  ['no length at all', [0xc2], 'packet cut short'],
])('%s is refused', (_, octets, why) => {
  const cut = () => cutPackets(Uint8Array.from(octets), rule)
  expect(cut).toThrow(expect.objectContaining({ code: 'format' }))
  expect(cut).toThrow(why)
})

test('one packet more, one octet more than the limit are refused', () => {
  const many = (count: number) => Buffer.concat(Array(count).fill(framed(1, 'one')))
  expect(cutPackets(many(LIMITS.signatures), rule)).toHaveLength(LIMITS.signatures)
  expect(() => cutPackets(many(LIMITS.signatures + 1), rule)).toThrow(
    expect.objectContaining({ code: 'limit', data: expect.objectContaining({ value: 17 }) }),
  )
  const long = (bytes: number) => framed(bytes - 6, 'five')
  expect(cutPackets(long(LIMITS.signatureBytes), rule)).toHaveLength(1)
  expect(() => cutPackets(long(LIMITS.signatureBytes + 1), rule)).toThrow(
    expect.objectContaining({ code: 'limit' }),
  )
})

test('an announced length over the limit is refused before it is looked for', () => {
  const announced = Uint8Array.of(0xc2, 0xff, 0xff, 0xff, 0xff, 0xff)
  expect(() => cutPackets(announced, rule)).toThrow(expect.objectContaining({ code: 'limit' }))
})
