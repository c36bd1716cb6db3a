/**
 * One 512-byte header block of a tree's tar (POSIX.1-2017, pax, "ustar Interchange Format").
 *
 * | offset | size | field    | | offset | size | field     | | offset | size | field       |
 * |--------|------|----------|-|--------|------|-----------|-|--------|------|-------------|
 * | 0      | 100  | name     | | 136    | 12   | mtime     | | 263    | 2    | version     |
 * | 100    | 8    | mode     | | 148    | 8    | checksum  | | 265    | 64   | owner names |
 * | 108    | 16   | uid, gid | | 156    | 1    | type      | | 329    | 16   | device      |
 * | 124    | 12   | size     | | 157    | 100  | link name | | 345    | 155  | prefix      |
 *
 * 1. Magic and version are those of POSIX; GNU's own (`ustar`, two spaces, NUL) is refused.
 * 2. Numbers are octal digits, ended by NUL or space up to the end of their field; GNU's binary
 *    numbers are refused. The checksum is the sum of unsigned bytes.
 * 3. Nothing but NUL follows the NUL that ends a string.
 *
 * Not promised: owner names and, outside device nodes, the device numbers; nobody reads them.
 */
import { OsflashError } from '../../errors.ts'
import {
  CHECKSUM_FIELD,
  readOctal,
  type TarField,
  tarSums,
  USTAR_MAGIC,
  USTAR_MAGIC_AT,
} from '../tar-block.ts'

/** A header as it stands. Strings hold one byte per character (latin1). */
export interface TarHeader {
  readonly typeFlag: string
  /** Prefix, slash and name, or the name alone. */
  readonly name: string
  readonly linkName: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Seconds since 1970. */
  readonly mtime: number
  /** Zero unless the type is a device. */
  readonly deviceMajor: number
  readonly deviceMinor: number
}

const NAME: TarField = [0, 100]
const MODE: TarField = [100, 8]
const UID: TarField = [108, 8]
const GID: TarField = [116, 8]
const SIZE: TarField = [124, 12]
const MTIME: TarField = [136, 12]
const TYPE_AT = 156
const LINK_NAME: TarField = [157, 100]
const DEVICE_MAJOR: TarField = [329, 8]
const DEVICE_MINOR: TarField = [337, 8]
const PREFIX: TarField = [345, 155]

/**
 * Decodes a block of 512 bytes; `undefined` for a block of zeros.
 * @throws OsflashError `format`, naming the field and the byte of the tar
 */
export function decodeTarHeader(block: Buffer, atByte: number): TarHeader | undefined {
  const sums = tarSums(block)
  if (sums.all === 0) return undefined
  if (block.toString('latin1', USTAR_MAGIC_AT, USTAR_MAGIC_AT + 8) !== USTAR_MAGIC) {
    throw tarError(atByte, 'this is no POSIX header (ustar)', [
      'make the tar with: tar --format=pax',
    ])
  }
  const number = (field: TarField, name: string) => octal(block, field, { name, atByte })
  const string = (field: TarField, name: string) => text(block, field, { name, atByte })
  if (number(CHECKSUM_FIELD, 'checksum') !== sums.checksum) {
    throw tarError(atByte, 'its checksum is wrong')
  }
  const prefix = string(PREFIX, 'prefix')
  const name = string(NAME, 'name')
  const typeFlag = block.toString('latin1', TYPE_AT, TYPE_AT + 1)
  const isDevice = typeFlag === '3' || typeFlag === '4'
  return {
    typeFlag,
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: string(LINK_NAME, 'link name'),
    mode: number(MODE, 'mode'),
    uid: number(UID, 'uid'),
    gid: number(GID, 'gid'),
    size: number(SIZE, 'size'),
    mtime: number(MTIME, 'mtime'),
    deviceMajor: isDevice ? number(DEVICE_MAJOR, 'device') : 0,
    deviceMinor: isDevice ? number(DEVICE_MINOR, 'device') : 0,
  }
}

/** The `format` error of a tree's tar: what is wrong with the header at `atByte`. */
export function tarError(
  atByte: number,
  what: string,
  hints: readonly string[] = [],
): OsflashError {
  const message = `reading the header at byte ${atByte} of the tree: ${what}`
  return new OsflashError('format', message, { data: { byte: atByte }, hints })
}

interface FieldPlace {
  readonly name: string
  readonly atByte: number
}

function octal(block: Buffer, field: TarField, { name, atByte }: FieldPlace): number {
  const value = readOctal(block, field)
  if (value === undefined) throw tarError(atByte, `its ${name} is not an octal number`)
  return value
}

function text(block: Buffer, [start, bytes]: TarField, place: FieldPlace): string {
  const end = start + bytes
  let length = 0
  while (length < bytes && block[start + length] !== 0) length += 1
  for (let at = start + length; at < end; at += 1) {
    if (block[at] !== 0) throw tarError(place.atByte, `its ${place.name} goes on after a NUL`)
  }
  return block.toString('latin1', start, start + length)
}
