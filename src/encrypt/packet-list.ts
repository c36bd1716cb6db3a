/**
 * Cuts a run of OpenPGP packets of one kind, before any library parses them.
 *
 *   FIRST OCTET    LENGTH FOLLOWS AS
 *   0xC0 | tag     < 192: 1 octet; 192 to 223: 2 octets; 255: 4 more (RFC 9580, 4.2.1)
 *   0x80 | tag<<2  type in the low 2 bits: 1, 2 or 4 octets (4.2.2; gpg still writes these)
 *
 * 1. Every packet has the tag that belongs there, a definite length, and lies wholly inside.
 * 2. The number of packets and the length of each are limited.
 *
 * Not promised: that the body makes sense.
 */
import { OsflashError } from '../errors.ts'
import { enforce, type LimitName } from '../format/limits.ts'

/** The rules for one kind of packet run. */
export interface PacketRule {
  readonly tag: number
  /** Where it comes from, for errors: `keys.pgp`. */
  readonly place: string
  readonly countLimit: LimitName
  readonly bytesLimit: LimitName
}

/** One packet, as views on the octets given. */
export interface CutPacket {
  /** With its header. */
  readonly packet: Uint8Array
  readonly body: Uint8Array
}

interface PacketHeader {
  readonly tag: number
  readonly headerBytes: number
  readonly bodyBytes: number
}

/**
 * Cuts `bytes` into packets.
 * @throws OsflashError `format` (none, another tag, cut short, partial length), `limit`
 */
export function cutPackets(bytes: Uint8Array, rule: PacketRule): readonly CutPacket[] {
  const packets: CutPacket[] = []
  let offset = 0
  while (offset < bytes.length) {
    const rest = bytes.subarray(offset)
    const { tag, headerBytes, bodyBytes } = readHeader(rest, rule.place, offset)
    if (tag !== rule.tag) {
      throw refused(rule.place, offset, `packet with tag ${tag}, not ${rule.tag}`)
    }
    const total = headerBytes + bodyBytes
    enforce(rule.bytesLimit, total, rule.place)
    if (total > rest.length) throw refused(rule.place, offset, 'packet cut short')
    packets.push({ packet: rest.subarray(0, total), body: rest.subarray(headerBytes, total) })
    enforce(rule.countLimit, packets.length, rule.place)
    offset += total
  }
  if (packets.length === 0) throw refused(rule.place, 0, 'no packet')
  return packets
}

function readHeader(bytes: Uint8Array, place: string, offset: number): PacketHeader {
  const [first = 0, ...rest] = bytes.subarray(0, 6)
  if ((first & 0x80) === 0) throw refused(place, offset, 'no OpenPGP packet')
  const newFormat = (first & 0x40) !== 0
  const lengthBytes = newFormat ? newLengthBytes(rest[0]) : [1, 2, 4, 0][first & 3]
  if (!lengthBytes) throw refused(place, offset, 'packet of partial or unknown length')
  if (rest.length < lengthBytes) throw refused(place, offset, 'packet cut short')
  const field = rest.slice(0, lengthBytes)
  return {
    tag: newFormat ? first & 0x3f : (first >> 2) & 0x0f,
    headerBytes: 1 + lengthBytes,
    bodyBytes: newFormat ? newLength(field) : bigEndian(field),
  }
}

function newLengthBytes(first: number | undefined): 0 | 1 | 2 | 5 {
  if (first === undefined) return 1
  if (first < 192) return 1
  if (first < 224) return 2
  return first === 255 ? 5 : 0
}

function newLength(field: readonly number[]): number {
  const [first = 0, second = 0] = field
  if (field.length === 1) return first
  return field.length === 2 ? ((first - 192) << 8) + second + 192 : bigEndian(field.slice(1))
}

function bigEndian(field: readonly number[]): number {
  return field.reduce((value, octet) => value * 256 + octet, 0)
}

function refused(place: string, offset: number, why: string): OsflashError {
  return new OsflashError('format', `reading ${place} at byte ${offset}: ${why}`, {
    data: { place, offset },
  })
}
