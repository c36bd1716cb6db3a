/**
 * Whole segments in memory, for tests: the same kernel that packing and unpacking call per chunk.
 */
import { randomBytes } from 'node:crypto'
import {
  chunkPlace,
  encodeLiteralHeader,
  encodeSegmentHeader,
  LITERAL_HEADER_BYTES,
  parseLiteralHeader,
  parseSegmentHeader,
  SALT_BYTES,
  type SegmentAead,
  type SegmentCipher,
  sealedSegmentBytes,
  segmentGeometry,
  TAG_BYTES,
} from '../../src/encrypt/segment-layout.ts'
import {
  checkFinalTag,
  deriveSegmentKey,
  openChunk,
  sealChunk,
  sealFinalTag,
} from '../../src/encrypt/seipd.ts'

export interface SealOptions {
  readonly aead?: SegmentAead
  readonly chunkOctet?: number
  readonly salt?: Uint8Array
  /** The order in which chunks are sealed. */
  readonly order?: (chunkCount: number) => number[]
}

const ascending = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

/** Seals a body (the frames of a segment) as one member. */
export function sealSegment(sessionKey: Uint8Array, body: Uint8Array, options: SealOptions = {}) {
  return sealPlaintext(sessionKey, Buffer.concat([encodeLiteralHeader(body.length), body]), options)
}

/** Seals any plaintext, also one that is no literal data packet. */
export function sealPlaintext(
  sessionKey: Uint8Array,
  plaintext: Uint8Array,
  options: SealOptions = {},
): Uint8Array<ArrayBuffer> {
  const cipher: SegmentCipher = {
    aead: options.aead ?? 'ocb',
    chunkOctet: options.chunkOctet ?? 6,
    salt: options.salt ?? randomBytes(SALT_BYTES),
  }
  const { chunkOctet } = cipher
  const plaintextBytes = plaintext.length
  const memberBytes = sealedSegmentBytes({ plaintextBytes, chunkOctet })
  const geometry = segmentGeometry({ memberBytes, chunkOctet })
  const member = new Uint8Array(memberBytes)
  member.set(encodeSegmentHeader(cipher, plaintextBytes))
  const key = deriveSegmentKey(sessionKey, cipher)
  for (const index of (options.order ?? ascending)(geometry.chunkCount)) {
    const place = chunkPlace(geometry, index)
    const input = plaintext.subarray(place.plainOffset, place.plainOffset + place.plainBytes)
    const out = member.subarray(place.sealedOffset, place.sealedOffset + place.sealedBytes)
    sealChunk(key, { index, input, out })
  }
  member.set(sealFinalTag(key, geometry), memberBytes - TAG_BYTES)
  return member
}

/** Opens a member and gives its body; refuses all that a segment must not be. */
export function openSegment(
  sessionKey: Uint8Array,
  member: Uint8Array,
  order: (chunkCount: number) => number[] = ascending,
): Uint8Array {
  const plaintext = openPlaintext(sessionKey, member, order)
  parseLiteralHeader(plaintext, plaintext.length)
  return plaintext.subarray(LITERAL_HEADER_BYTES)
}

/** Opens a member and gives its plaintext, whatever packet that is. */
export function openPlaintext(
  sessionKey: Uint8Array,
  member: Uint8Array,
  order: (chunkCount: number) => number[] = ascending,
): Uint8Array {
  const cipher = parseSegmentHeader(member, member.length)
  const geometry = segmentGeometry({
    memberBytes: member.length,
    chunkOctet: cipher.chunkOctet,
  })
  const key = deriveSegmentKey(sessionKey, cipher)
  const plaintext = new Uint8Array(geometry.plaintextBytes)
  for (const index of order(geometry.chunkCount)) {
    const place = chunkPlace(geometry, index)
    const input = member.subarray(place.sealedOffset, place.sealedOffset + place.sealedBytes)
    const out = plaintext.subarray(place.plainOffset, place.plainOffset + place.plainBytes)
    openChunk(key, { index, input, out })
  }
  checkFinalTag(key, geometry, member.subarray(member.length - TAG_BYTES))
  return plaintext
}
