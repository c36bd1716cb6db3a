/**
 * The 512-byte ustar header of an image's members (POSIX.1-2017, pax, "ustar Interchange Format").
 *
 * | offset | size | field     | value in an image                              |
 * |--------|------|-----------|------------------------------------------------|
 * | 0      | 100  | name      | the member's name                              |
 * | 100    | 24   | mode, ids | 0000644, 0000000, 0000000                      |
 * | 124    | 12   | size      | eleven octal digits                            |
 * | 136    | 12   | mtime     | the image's creation time                      |
 * | 148    | 8    | checksum  | six octal digits, NUL, space                   |
 * | 156    | 1    | type      | `0`                                            |
 * | 257    | 8    | magic     | `ustar`, NUL, `00`                             |
 * | 297    | 32   | group     | empty, or 30 hex digits: a check sum           |
 *
 * 1. Writing gives one spelling; reading accepts that spelling and no other, so no second
 *    meaning (prefix, link, owner, extension) can hide in a member.
 * 2. `manifest.json.sig` and `keys.pgp` are bound by no digest of the manifest. The first 120 bits
 *    of their BLAKE3 stand in the group field, against bit rot; they prove nothing else.
 * 3. Trees inside a payload are tars of their own, with more in them (tree/).
 */
import { OsflashError } from '../errors.ts'
import { alignUp } from '../units.ts'
import {
  octalDigits,
  readOctal,
  TAR_BLOCK_BYTES,
  tarSums,
  USTAR_MAGIC,
  USTAR_MAGIC_AT,
} from './tar-block.ts'

/** Two blocks of zeros end the archive; readers of tar expect whole records of 10,240 bytes. */
const TAR_RECORD_BYTES = 10_240

export interface TarMember {
  readonly name: string
  readonly bytes: number
  /** Seconds since 1970. */
  readonly mtime: number
  /** 30 hex digits, in the group field. */
  readonly checksum?: string
}

export function encodeTarHeader(member: TarMember): Buffer {
  if (Buffer.byteLength(member.name) > 100) throw new RangeError(`name too long: ${member.name}`)
  const header = Buffer.alloc(TAR_BLOCK_BYTES)
  header.write(member.name, 0, 100, 'utf8')
  header.write('0000644\u00000000000\u00000000000\u0000', 100, 'latin1')
  const [size, mtime] = [octalDigits(member.bytes, 11), octalDigits(member.mtime, 11)]
  header.write(`${size}\0${mtime}\0`, 124, 'latin1')
  header.write('0', 156, 'latin1')
  header.write(USTAR_MAGIC, USTAR_MAGIC_AT, 'latin1')
  header.write(member.checksum ?? '', 297, 31, 'latin1')
  header.write(`${octalDigits(tarSums(header).checksum, 6)}\0 `, 148, 'latin1')
  return header
}

/**
 * Reads a header that `encodeTarHeader` could have written; `undefined` for a block of zeros.
 * @throws OsflashError `format`, naming the byte of the image
 */
export function parseTarHeader(header: Uint8Array, atByte: number): TarMember | undefined {
  const block = Buffer.from(header.buffer, header.byteOffset, header.byteLength)
  if (block.every((byte) => byte === 0)) return undefined
  const name = block.toString('utf8', 0, 100).replace(/\0.*$/s, '')
  const checksum = block.toString('latin1', 297, 327).replace(/\0.*$/s, '')
  const member = {
    name,
    bytes: readOctal(block, [124, 12]) ?? -1,
    mtime: readOctal(block, [136, 12]) ?? -1,
    ...(checksum === '' ? {} : { checksum }),
  }
  // Bytes that are no UTF-8 decode to more of them.
  const nameFits = name.length > 0 && Buffer.byteLength(name) <= 100
  const valid = nameFits && member.bytes >= 0 && member.mtime >= 0
  if (!valid || !encodeTarHeader(member).equals(block)) {
    throw new OsflashError('format', `reading the member header at byte ${atByte}: not an image`, {
      data: { byte: atByte },
      hints: ['check that the file is an osflash image and arrived whole'],
    })
  }
  return member
}

/** Bytes that a member takes in the archive: header, content, padding. */
export function tarMemberBytes(bytes: number): number {
  return TAR_BLOCK_BYTES + alignUp(bytes, TAR_BLOCK_BYTES)
}

/** Size of the whole archive when its members end at `endOfMembers`. */
export function tarArchiveBytes(endOfMembers: number): number {
  return alignUp(endOfMembers + 2 * TAR_BLOCK_BYTES, TAR_RECORD_BYTES)
}
