import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chunkBytesOf, encodeLiteralHeader } from '../../src/encrypt/segment-layout.ts'
import {
  checkFinalTag,
  deriveSegmentKey,
  openChunk,
  sealChunk,
  sealFinalTag,
} from '../../src/encrypt/seipd.ts'
import { OsflashError } from '../../src/errors.ts'
import { openSegment, sealPlaintext, sealSegment } from './whole-segment.ts'

const sessionKey = Uint8Array.from({ length: 32 }, (_, index) => index)
const salt = new Uint8Array(32).fill(0x5a)
const aeads = ['ocb', 'gcm'] as const
const CHUNK = chunkBytesOf(6)

const key = (aead: 'ocb' | 'gcm' = 'ocb') =>
  deriveSegmentKey(sessionKey, { aead, chunkOctet: 6, salt })

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof OsflashError) return error.code
    throw error
  }
  return 'accepted'
}

describe('a segment', () => {
  test.each(aeads)('%s: the octets are fixed by session key, salt and body', (aead) => {
    const member = sealSegment(sessionKey, Buffer.from('osflash'), { aead, salt })
    expect(Buffer.from(member).toString('hex')).toMatchSnapshot()
  })

  test('opening should invert sealing, in any order of chunks', () => {
    const shuffled = (seed: number) => (count: number) =>
      Array.from({ length: count }, (_, index) => index).sort(
        (a, b) => ((a * 7919 + seed) % 101) - ((b * 7919 + seed) % 101),
      )
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 6 * CHUNK }),
        fc.constantFrom(...aeads),
        fc.integer({ min: 6, max: 8 }),
        fc.nat(100),
        (body, aead, chunkOctet, seed) => {
          const order = shuffled(seed)
          const member = sealSegment(sessionKey, body, { aead, chunkOctet, order })
          expect(Buffer.compare(openSegment(sessionKey, member, order), body)).toBe(0)
        },
      ),
    )
  })

  test.each(aeads)('%s: sizes 0, 1, chunk - 1, chunk, chunk + 1 come back', (aead) => {
    for (const chunkOctet of [6, 12]) {
      const chunk = chunkBytesOf(chunkOctet)
      for (const plain of [12, 13, chunk - 1, chunk, chunk + 1, 2 * chunk - 1, 2 * chunk]) {
        const body = randomBytes(plain - 12)
        const member = sealSegment(sessionKey, body, { aead, chunkOctet })
        expect(Buffer.compare(openSegment(sessionKey, member), body)).toBe(0)
      }
    }
  })

  test.each(aeads)('%s: any flipped bit is refused', (aead) => {
    const member = sealSegment(sessionKey, randomBytes(CHUNK + 20), { aead, salt })
    for (let bit = 0; bit < member.length * 8; bit += 1) {
      const octet = bit >> 3
      member[octet] = (member[octet] ?? 0) ^ (1 << (bit & 7))
      expect(codeOf(() => openSegment(sessionKey, member))).toMatch(/^(format|limit|decryption)$/)
      member[octet] = (member[octet] ?? 0) ^ (1 << (bit & 7))
    }
    expect(openSegment(sessionKey, member)).toHaveLength(CHUNK + 20)
  })

  test('every cut and every added octet is refused', () => {
    const member = sealSegment(sessionKey, randomBytes(CHUNK + 20), { salt })
    for (let bytes = 0; bytes < member.length; bytes += 1) {
      expect(codeOf(() => openSegment(sessionKey, member.subarray(0, bytes)))).toBe('format')
    }
    expect(codeOf(() => openSegment(sessionKey, Buffer.concat([member, Buffer.of(0)])))).toBe(
      'format',
    )
  })

  test('swapped, repeated and dropped chunks are refused', () => {
    const member = sealSegment(sessionKey, randomBytes(3 * CHUNK - 12), { salt })
    const sealed = CHUNK + 16
    const chunk = (index: number) => member.slice(42 + index * sealed, 42 + (index + 1) * sealed)
    const put = (...chunks: number[]) => {
      const total = 6 + 36 + chunks.length * sealed + 16
      const header = Buffer.from(member.subarray(0, 42))
      header.writeUInt32BE(total - 6, 2)
      return Buffer.concat([header, ...chunks.map(chunk), member.subarray(member.length - 16)])
    }
    expect(codeOf(() => openSegment(sessionKey, put(0, 1, 2)))).toBe('accepted')
    for (const chunks of [
      [1, 0, 2],
      [0, 0, 2],
      [0, 1],
      [0, 1, 2, 2],
      [1, 2],
    ]) {
      expect(codeOf(() => openSegment(sessionKey, put(...chunks)))).toBe('decryption')
    }
  })

  test('a segment of another session key is refused', () => {
    const stranger = sealSegment(randomBytes(32), randomBytes(100))
    expect(codeOf(() => openSegment(sessionKey, stranger))).toBe('decryption')
  })

  test.each([
    ['a compressed packet', [0xc8, 0xff, 0, 0, 0, 6, 0, 1, 2, 3, 4, 5]],
    ['a marker packet', [0xca, 0xff, 0, 0, 0, 6, 0x50, 0x47, 0x50, 0, 0, 0]],
    ['a padding packet', [0xd5, 0xff, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0]],
    ['a nested segment', [0xd2, 0xff, 0, 0, 0, 6, 2, 9, 2, 6, 0, 0]],
    ['a one-octet length', [0xcb, 10, 0x62, 0, 0, 0, 0, 0, 1, 2, 3, 4]],
    ['a partial length', [0xcb, 0xe3, 0x62, 0, 0, 0, 0, 0, 1, 2, 3, 4]],
    ['an old-format header', [0xaf, 0xff, 0, 0, 0, 6, 0x62, 0, 0, 0, 0, 0]],
    ['text', [0xcb, 0xff, 0, 0, 0, 6, 0x74, 0, 0, 0, 0, 0]],
    ['a file name', [0xcb, 0xff, 0, 0, 0, 7, 0x62, 1, 0x61, 0, 0, 0, 0]],
    ['a date', [0xcb, 0xff, 0, 0, 0, 6, 0x62, 0, 0, 0, 0, 1]],
    ['trailing octets', [...encodeLiteralHeader(0), 0]],
    ['a length beyond the end', [...encodeLiteralHeader(9), 0]],
  ])('%s inside is refused', (_, plaintext) => {
    const member = sealPlaintext(sessionKey, Uint8Array.from(plaintext))
    expect(codeOf(() => openSegment(sessionKey, member))).toBe('format')
  })
})

describe('a chunk', () => {
  test.each(aeads)('%s: shared memory on both sides', (aead) => {
    const shared = () => new Uint8Array(new SharedArrayBuffer(CHUNK + 16))
    const [plain, sealed, opened] = [shared(), shared(), shared()]
    plain.set(randomBytes(CHUNK))
    sealChunk(key(aead), { index: 3, input: plain.subarray(0, CHUNK), out: sealed })
    openChunk(key(aead), { index: 3, input: sealed, out: opened })
    expect(Buffer.compare(opened.subarray(0, CHUNK), plain.subarray(0, CHUNK))).toBe(0)
  })

  test.each(aeads)('%s: a refused chunk leaves the output as it was and is named', (aead) => {
    const sealed = new Uint8Array(116)
    sealChunk(key(aead), { index: 7, input: new Uint8Array(100), out: sealed })
    const out = new Uint8Array(100).fill(0xee)
    sealed[115] = (sealed[115] ?? 0) ^ 1
    const open = () => openChunk(key(aead), { index: 7, input: sealed, out })
    expect(open).toThrow('opening chunk 7 of a segment: the tag does not match')
    expect(open).toThrow(expect.objectContaining({ code: 'decryption', data: { chunk: 7 } }))
    expect(out.every((octet) => octet === 0xee)).toBe(true)
  })

  test.each(aeads)('%s: the index counts in 64 bits', (aead) => {
    const input = new Uint8Array(32)
    const sealedAs = (index: number) => {
      const out = new Uint8Array(48)
      sealChunk(key(aead), { index, input, out })
      return Buffer.from(out).toString('hex')
    }
    const indexes = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1]
    expect(new Set(indexes.map(sealedAs)).size).toBe(indexes.length)
    expect(() => sealedAs(2 ** 53)).toThrow(RangeError)
    expect(() => sealedAs(-1)).toThrow(RangeError)
  })

  test('a chunk that is empty or too long is refused', () => {
    const out = new Uint8Array(2 * CHUNK)
    for (const bytes of [0, CHUNK + 1]) {
      const input = new Uint8Array(bytes)
      expect(() => sealChunk(key(), { index: 0, input, out })).toThrow(RangeError)
    }
    for (const bytes of [0, 15, 16, CHUNK + 17]) {
      const input = new Uint8Array(bytes)
      expect(codeOf(() => openChunk(key(), { index: 0, input, out }))).toBe('decryption')
    }
  })

  test('an output that is too small is refused', () => {
    const sealed = new Uint8Array(116)
    sealChunk(key(), { index: 0, input: new Uint8Array(100), out: sealed })
    const seal = { index: 0, input: new Uint8Array(100), out: new Uint8Array(115) }
    const open = { index: 0, input: sealed, out: new Uint8Array(99) }
    expect(() => sealChunk(key(), seal)).toThrow(RangeError)
    expect(() => openChunk(key(), open)).toThrow(RangeError)
  })
})

describe('the final tag', () => {
  test.each(aeads)('%s: covers the count of octets and of chunks in 64 bits', (aead) => {
    const totals = { chunkCount: 2 ** 32 + 1, plaintextBytes: 2 ** 40 + 1 }
    const tag = sealFinalTag(key(aead), totals)
    checkFinalTag(key(aead), totals, tag)
    for (const other of [
      { ...totals, chunkCount: 1 },
      { ...totals, plaintextBytes: 1 },
      { ...totals, plaintextBytes: 2 ** 40 },
    ]) {
      expect(codeOf(() => checkFinalTag(key(aead), other, tag))).toBe('decryption')
    }
    expect(codeOf(() => checkFinalTag(key(aead), totals, new Uint8Array(0)))).toBe('decryption')
  })
})

test('a session key of another length is a fault of the caller', () => {
  const header = { aead: 'ocb', chunkOctet: 6, salt } as const
  expect(() => deriveSegmentKey(new Uint8Array(16), header)).toThrow(RangeError)
})
