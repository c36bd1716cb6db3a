/**
 * The cipher of a segment, one chunk at a time (RFC 9580, section 5.13.2).
 *
 * 1. HKDF-SHA256 of session key and salt gives the message key and the fixed part of the nonce.
 * 2. Nonce = fixed part, then the chunk's index in 64 bits: chunks depend on nothing but their
 *    index, so any thread may take any chunk in any order.
 * 3. `openChunk` copies to `out` only what its tag has proved.
 * 4. The final tag covers nothing but the count of octets: it proves that no chunk is missing.
 *
 * OCB is the default because RFC 9580 makes it mandatory and GCM optional. OpenSSL holds back the
 * last partial block of OCB until the end, hence two copies.
 *
 * Not promised: that a segment is whole before `checkFinalTag`, or that it belongs to this image
 * (the manifest and the index say that).
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto'
import { OsflashError } from '../errors.ts'
import { chunkBytesOf, type SegmentCipher, segmentInfo, TAG_BYTES } from './segment-layout.ts'

const MESSAGE_KEY_BYTES = 32
const COUNTER_BYTES = 8
const TWO_32 = 2 ** 32
const NODE_CIPHER = { ocb: 'aes-256-ocb', gcm: 'aes-256-gcm' } as const
const NONCE_BYTES = { ocb: 15, gcm: 12 } as const
const TAG_OPTIONS = { authTagLength: TAG_BYTES } as const

/** Everything that sealing or opening a chunk needs. Each thread derives its own. */
export interface SegmentKey {
  readonly aead: SegmentCipher['aead']
  /** Plaintext octets of a full chunk. */
  readonly chunkBytes: number
  /** An object, because Node takes a key as bytes only after ten times the work. */
  readonly messageKey: KeyObject
  /** The first octets of each nonce: 7 for OCB, 4 for GCM. */
  readonly iv: Uint8Array
  /** Associated data of each chunk. */
  readonly aad: Uint8Array
}

/**
 * The key of one segment.
 *
 * @param sessionKey 32 octets, the same for the whole image
 * @param header with a salt that no other segment has
 * @throws OsflashError `limit` for a chunk octet out of range, RangeError for another key length
 */
export function deriveSegmentKey(sessionKey: Uint8Array, header: SegmentCipher): SegmentKey {
  if (sessionKey.length !== MESSAGE_KEY_BYTES) throw new RangeError('a session key has 32 octets')
  const aad = segmentInfo(header)
  const bytes = MESSAGE_KEY_BYTES + NONCE_BYTES[header.aead] - COUNTER_BYTES
  const derived = new Uint8Array(hkdfSync('sha256', sessionKey, header.salt, aad, bytes))
  return {
    aead: header.aead,
    chunkBytes: chunkBytesOf(header.chunkOctet),
    messageKey: createSecretKey(derived.subarray(0, MESSAGE_KEY_BYTES)),
    iv: derived.subarray(MESSAGE_KEY_BYTES),
    aad,
  }
}

/** One chunk to seal or to open: from `input` to the start of `out`; both may be shared memory. */
export interface ChunkJob {
  /** The chunk's number in its segment, from 0. */
  readonly index: number
  readonly input: Uint8Array
  readonly out: Uint8Array
}

/**
 * Seals a chunk: writes `input.length + 16` octets to `out`.
 * @throws RangeError when the chunk is empty or too long, or `out` too small
 */
export function sealChunk(key: SegmentKey, job: ChunkJob): void {
  const { index, input, out } = job
  if (input.length < 1 || input.length > key.chunkBytes) throw new RangeError('not a chunk')
  if (out.length < input.length + TAG_BYTES) throw new RangeError('no room for a sealed chunk')
  const cipher = cipherFor(key, index)
  cipher.setAAD(key.aad)
  const head = cipher.update(input)
  const tail = cipher.final()
  out.set(head)
  out.set(tail, head.length)
  freeNow(head)
  out.set(cipher.getAuthTag(), input.length)
}

/**
 * Opens a chunk: writes `input.length - 16` octets to `out`.
 *
 * @throws OsflashError `decryption` (data: chunk) when the tag does not hold; `out` is then as it
 *   was. RangeError when `out` is too small
 */
export function openChunk(key: SegmentKey, job: ChunkJob): void {
  const { index, input, out } = job
  const bytes = input.length - TAG_BYTES
  if (bytes < 1 || bytes > key.chunkBytes) throw refused(index, 'wrong length')
  if (out.length < bytes) throw new RangeError('no room for an opened chunk')
  const decipher = decipherFor(key, index)
  decipher.setAAD(key.aad)
  decipher.setAuthTag(input.slice(bytes))
  const head = decipher.update(input.subarray(0, bytes))
  try {
    const tail = decipher.final()
    out.set(head)
    out.set(tail, head.length)
  } catch (cause) {
    head.fill(0)
    throw refused(index, 'the tag does not match', cause)
  } finally {
    freeNow(head)
  }
}

/**
 * Gives the memory of a buffer back at once. Node allocates the output of every `update`; left to
 * the collector, a thread holds tens of MiB of it, and each new one begins with page faults.
 */
function freeNow(output: Buffer): void {
  const { buffer } = output
  // A small output lies in a pool that others use.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === output.length) buffer.transfer(0)
}

/** What the final tag says. */
export interface SegmentTotals {
  readonly chunkCount: number
  /** Octets of all plaintext: the literal data packet with its header. */
  readonly plaintextBytes: number
}

/** The 16 octets that end a segment. */
export function sealFinalTag(key: SegmentKey, totals: SegmentTotals): Uint8Array {
  const cipher = cipherFor(key, totals.chunkCount)
  cipher.setAAD(finalAad(key, totals))
  cipher.final()
  return Uint8Array.from(cipher.getAuthTag())
}

/**
 * Checks the 16 octets that end a segment.
 * @throws OsflashError `decryption`
 */
export function checkFinalTag(key: SegmentKey, totals: SegmentTotals, tag: Uint8Array): void {
  if (tag.length !== TAG_BYTES) throw refused(totals.chunkCount, 'no final tag')
  const decipher = decipherFor(key, totals.chunkCount)
  decipher.setAAD(finalAad(key, totals))
  decipher.setAuthTag(tag.slice())
  try {
    decipher.final()
  } catch (cause) {
    throw refused(totals.chunkCount, 'the final tag does not match', cause)
  }
}

// OCB and GCM have types of their own in Node, so the two calls cannot be one.
function cipherFor(key: SegmentKey, index: number) {
  const nonce = nonceFor(key, index)
  return key.aead === 'ocb'
    ? createCipheriv(NODE_CIPHER.ocb, key.messageKey, nonce, TAG_OPTIONS)
    : createCipheriv(NODE_CIPHER.gcm, key.messageKey, nonce, TAG_OPTIONS)
}

function decipherFor(key: SegmentKey, index: number) {
  const nonce = nonceFor(key, index)
  return key.aead === 'ocb'
    ? createDecipheriv(NODE_CIPHER.ocb, key.messageKey, nonce, TAG_OPTIONS)
    : createDecipheriv(NODE_CIPHER.gcm, key.messageKey, nonce, TAG_OPTIONS)
}

function nonceFor(key: SegmentKey, index: number): Uint8Array {
  const nonce = new Uint8Array(key.iv.length + COUNTER_BYTES)
  nonce.set(key.iv)
  writeCounter(nonce, key.iv.length, index)
  return nonce
}

function finalAad(key: SegmentKey, totals: SegmentTotals): Uint8Array {
  const aad = new Uint8Array(key.aad.length + COUNTER_BYTES)
  aad.set(key.aad)
  writeCounter(aad, key.aad.length, totals.plaintextBytes)
  return aad
}

/** 64 bits, big-endian; two 32-bit writes because BigInt would allocate for every chunk. */
function writeCounter(bytes: Uint8Array, offset: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a counter: ${value}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  view.setUint32(offset, Math.floor(value / TWO_32))
  view.setUint32(offset + 4, value % TWO_32)
}

function refused(chunk: number, why: string, cause?: unknown): OsflashError {
  return new OsflashError('decryption', `opening chunk ${chunk} of a segment: ${why}`, {
    data: { chunk },
    cause,
  })
}
