/**
 * Where everything lies in a segment: one SEIPD version 2 packet of RFC 9580, section 5.13.2.
 *
 *   OFFSET     SIZE       MEANING
 *   0          1          0xD2: new packet format, tag 18
 *   1          5          0xFF and the body length, 32 bits, big-endian
 *   6          4          version 2, cipher 9 (AES-256), AEAD 2 (OCB) or 3 (GCM), chunk octet c
 *   10         32         salt
 *   42         n          chunks: 2^(c+6) octets (the last may be shorter), each with its tag (16)
 *   42 + n     16         final tag
 *
 * 1. `parseSegmentHeader` refuses every other header, and a length that the member does not have.
 * 2. Sizes alone give the place of every chunk, so chunks can be opened in any order.
 * 3. The plaintext is one literal data packet; its 12-octet header is fixed but for the length.
 *
 * Not promised: anything about the octets of the chunks; only the tags (`seipd.ts`) prove those.
 */
import { OsflashError } from '../errors.ts'
import { enforce, LIMITS } from '../format/limits.ts'

/** Packet header (6), version, algorithms and chunk octet (4), salt (32). */
export const SEGMENT_HEADER_BYTES = 42
/** Packet header (6), format, empty file name, date (RFC 9580, 5.9). */
export const LITERAL_HEADER_BYTES = 12
export const TAG_BYTES = 16
export const SALT_BYTES = 32

const PACKET_HEADER_BYTES = 6
const SEIPD_TAG = 0xd2
const LITERAL_TAG = 0xcb
const FIVE_OCTET_LENGTH = 0xff
const SEIPD_VERSION = 2
const AES_256 = 9
const NOT_ZERO = (octet: number): boolean => octet !== 0

/** The AEAD modes of a segment. OCB is what RFC 9580 makes mandatory. */
export type SegmentAead = 'ocb' | 'gcm'

const AEAD_OCTET: Readonly<Record<SegmentAead, number>> = { ocb: 2, gcm: 3 }

/** What the header of a segment says besides its length. */
export interface SegmentCipher {
  readonly aead: SegmentAead
  /** A chunk has 2^(chunkOctet + 6) plaintext octets; 6 to 16. */
  readonly chunkOctet: number
  /** 32 octets, never used for a second segment. */
  readonly salt: Uint8Array
}

/** A length of plaintext and the way it is cut. */
export interface PlainShape {
  /** Octets of the literal data packet, its header included. */
  readonly plaintextBytes: number
  readonly chunkOctet: number
}

/** A length of a member and the way it is cut. */
export interface MemberShape {
  readonly memberBytes: number
  readonly chunkOctet: number
}

/** What the two lengths of a segment say about its chunks. */
export interface SegmentGeometry extends PlainShape, MemberShape {
  /** Plaintext octets of every chunk but the last. */
  readonly chunkBytes: number
  readonly chunkCount: number
}

/** Where one chunk lies. */
export interface ChunkPlace {
  /** From the start of the member. */
  readonly sealedOffset: number
  /** With its tag. */
  readonly sealedBytes: number
  /** From the start of the literal data packet (its header included). */
  readonly plainOffset: number
  readonly plainBytes: number
}

/**
 * Plaintext octets of a full chunk.
 * @throws OsflashError `limit` when the octet is outside 6 to 16
 */
export function chunkBytesOf(chunkOctet: number): number {
  if (!Number.isInteger(chunkOctet) || chunkOctet < LIMITS.chunkOctetMin) {
    throw new OsflashError(
      'limit',
      `reading a segment header: chunk octet ${chunkOctet} is too small`,
      {
        data: { limit: 'chunkOctetMin', min: LIMITS.chunkOctetMin, value: chunkOctet },
      },
    )
  }
  enforce('chunkOctetMax', chunkOctet, 'a segment header')
  return 2 ** (chunkOctet + 6)
}

/** The five octets that HKDF takes as info and every chunk takes as associated data. */
export function segmentInfo(cipher: SegmentCipher): Uint8Array {
  return Uint8Array.of(
    SEIPD_TAG,
    SEIPD_VERSION,
    AES_256,
    AEAD_OCTET[cipher.aead],
    cipher.chunkOctet,
  )
}

/**
 * The length of a segment member in octets.
 * @throws OsflashError `limit` when the literal body is longer than 1 GiB
 */
export function sealedSegmentBytes(shape: PlainShape): number {
  const chunkBytes = chunkBytesOf(shape.chunkOctet)
  checkPlaintext(shape.plaintextBytes)
  const chunkCount = Math.ceil(shape.plaintextBytes / chunkBytes)
  return SEGMENT_HEADER_BYTES + shape.plaintextBytes + (chunkCount + 1) * TAG_BYTES
}

/**
 * How many chunks a member of this length holds, and how much plaintext.
 * @throws OsflashError `format` for a length that no plaintext gives, `limit` above 1 GiB
 */
export function segmentGeometry(shape: MemberShape): SegmentGeometry {
  const { memberBytes, chunkOctet } = shape
  const chunkBytes = chunkBytesOf(chunkOctet)
  const sealedBytes = memberBytes - SEGMENT_HEADER_BYTES - TAG_BYTES
  const chunkCount = Math.max(0, Math.ceil(sealedBytes / (chunkBytes + TAG_BYTES)))
  const plaintextBytes = sealedBytes - chunkCount * TAG_BYTES
  checkPlaintext(plaintextBytes)
  if (sealedSegmentBytes({ plaintextBytes, chunkOctet }) !== memberBytes) {
    throw refused(`${memberBytes} octets cannot be cut into chunks`, { memberBytes, chunkOctet })
  }
  return { memberBytes, chunkOctet, chunkBytes, chunkCount, plaintextBytes }
}

/**
 * The place of chunk `index`, in the member and in the plaintext.
 * @throws RangeError when there is no such chunk
 */
export function chunkPlace(geometry: SegmentGeometry, index: number): ChunkPlace {
  if (!Number.isInteger(index) || index < 0 || index >= geometry.chunkCount) {
    throw new RangeError(`no chunk ${index} of ${geometry.chunkCount}`)
  }
  const plainOffset = index * geometry.chunkBytes
  const plainBytes = Math.min(geometry.chunkBytes, geometry.plaintextBytes - plainOffset)
  return {
    sealedOffset: SEGMENT_HEADER_BYTES + index * (geometry.chunkBytes + TAG_BYTES),
    sealedBytes: plainBytes + TAG_BYTES,
    plainOffset,
    plainBytes,
  }
}

/**
 * The first 42 octets of a segment.
 * @throws OsflashError `limit` for a chunk octet or a length out of range, RangeError for a salt
 */
export function encodeSegmentHeader(cipher: SegmentCipher, plaintextBytes: number): Uint8Array {
  const memberBytes = sealedSegmentBytes({ plaintextBytes, chunkOctet: cipher.chunkOctet })
  if (cipher.salt.length !== SALT_BYTES) throw new RangeError('a salt has 32 octets')
  const header = new Uint8Array(SEGMENT_HEADER_BYTES)
  writePacketHeader(header, SEIPD_TAG, memberBytes - PACKET_HEADER_BYTES)
  header.set(segmentInfo(cipher).subarray(1), PACKET_HEADER_BYTES)
  header.set(cipher.salt, SEGMENT_HEADER_BYTES - SALT_BYTES)
  return header
}

/**
 * Reads the header of a segment of `memberBytes` octets; the salt is a copy.
 * @throws OsflashError `format`, `limit`; nothing but the layout above is taken
 */
export function parseSegmentHeader(bytes: Uint8Array, memberBytes: number): SegmentCipher {
  if (bytes.length < SEGMENT_HEADER_BYTES) throw refused(`only ${bytes.length} octets`)
  const header = Uint8Array.from(bytes.subarray(0, SEGMENT_HEADER_BYTES))
  checkPacketTag(header[0] ?? 0)
  checkLength(header, memberBytes - PACKET_HEADER_BYTES)
  const [version, cipher, aead, chunkOctet = 0] = header.subarray(PACKET_HEADER_BYTES)
  if (version !== SEIPD_VERSION) throw refused(`SEIPD version ${version}, not 2`)
  if (cipher !== AES_256) throw refused(`cipher ${cipher}, not 9 (AES-256)`)
  const mode = aead === AEAD_OCTET.ocb ? 'ocb' : aead === AEAD_OCTET.gcm ? 'gcm' : undefined
  if (mode === undefined) throw refused(`AEAD algorithm ${aead}, not 2 (OCB) or 3 (GCM)`)
  segmentGeometry({ memberBytes, chunkOctet })
  return { aead: mode, chunkOctet, salt: header.subarray(SEGMENT_HEADER_BYTES - SALT_BYTES) }
}

/**
 * The 12 octets before the frames: literal data, binary, no file name, no date.
 * @throws OsflashError `limit` above 1 GiB
 */
export function encodeLiteralHeader(bodyBytes: number): Uint8Array {
  checkPlaintext(bodyBytes + LITERAL_HEADER_BYTES)
  const header = new Uint8Array(LITERAL_HEADER_BYTES)
  writePacketHeader(header, LITERAL_TAG, bodyBytes + LITERAL_HEADER_BYTES - PACKET_HEADER_BYTES)
  header[PACKET_HEADER_BYTES] = 'b'.charCodeAt(0)
  return header
}

/**
 * Checks the first 12 octets of the plaintext against its whole length.
 * @returns the length of the body: whole frames, one after another
 * @throws OsflashError `format` for a compressed, nested, marker, padding or signed packet, and for
 *   every length but the one that ends the plaintext
 */
export function parseLiteralHeader(bytes: Uint8Array, plaintextBytes: number): number {
  if (bytes.length < LITERAL_HEADER_BYTES) throw refused('no literal data packet')
  if (bytes[0] !== LITERAL_TAG) throw refused(`packet octet ${bytes[0]} where literal data belongs`)
  checkLength(bytes, plaintextBytes - PACKET_HEADER_BYTES)
  const [format, ...nameAndDate] = bytes.subarray(PACKET_HEADER_BYTES, LITERAL_HEADER_BYTES)
  if (format !== 'b'.charCodeAt(0) || nameAndDate.some(NOT_ZERO)) {
    throw refused('literal data with another format, a file name or a date')
  }
  return plaintextBytes - LITERAL_HEADER_BYTES
}

function writePacketHeader(header: Uint8Array, tag: number, bodyBytes: number): void {
  const view = new DataView(header.buffer)
  view.setUint8(0, tag)
  view.setUint8(1, FIVE_OCTET_LENGTH)
  view.setUint32(2, bodyBytes)
}

function checkPacketTag(octet: number): void {
  if (octet === SEIPD_TAG) return
  if ((octet & 0x80) === 0) throw refused('no OpenPGP packet')
  if ((octet & 0x40) === 0) throw refused('packet header in the old format')
  throw refused(`packet with tag ${octet & 0x3f}, not 18 (SEIPD)`)
}

function checkLength(header: Uint8Array, expected: number): void {
  if (header[1] !== FIVE_OCTET_LENGTH) {
    throw refused('length that is partial or has not five octets')
  }
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
  const length = view.getUint32(2)
  if (length !== expected) {
    throw refused(`packet length ${length} where ${expected} belong`, { length, expected })
  }
}

function checkPlaintext(plaintextBytes: number): void {
  if (!Number.isSafeInteger(plaintextBytes) || plaintextBytes < LITERAL_HEADER_BYTES) {
    throw refused('too short for a literal data packet', { plaintextBytes })
  }
  enforce('segmentPlainBytes', plaintextBytes - LITERAL_HEADER_BYTES, 'a segment')
}

function refused(why: string, data: Readonly<Record<string, number>> = {}): OsflashError {
  return new OsflashError('format', `reading a segment: ${why}`, { data })
}
