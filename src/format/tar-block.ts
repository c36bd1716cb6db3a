/**
 * What every tar header block has (POSIX.1-2017, pax, "ustar Interchange Format"), whether it
 * stands in the outer shell of an image or in a tree.
 *
 * 1. Blocks of 512 bytes; magic and version at 257.
 * 2. Numbers are octal digits, ended by NUL or space up to the end of their field.
 * 3. The checksum at 148 is the sum of unsigned bytes; its own eight count as spaces.
 *
 * Not promised: one spelling of a number; the outer shell wants that, and compares.
 */

export const TAR_BLOCK_BYTES = 512
/** `ustar`, NUL, version 00. GNU's own has two spaces and a NUL instead. */
export const USTAR_MAGIC = 'ustar\x0000'
export const USTAR_MAGIC_AT = 257

/** A field: its place in the block and its size. */
export type TarField = readonly [start: number, bytes: number]

export const CHECKSUM_FIELD: TarField = [148, 8]
const SPACE = 0x20

/** The sum of all bytes (0 for a block of zeros), and the one that the checksum field holds. */
export function tarSums(block: Uint8Array): { readonly all: number; readonly checksum: number } {
  const [start, bytes] = CHECKSUM_FIELD
  let all = 0
  for (let at = 0; at < TAR_BLOCK_BYTES; at += 1) all += block[at] ?? 0
  let field = 0
  for (let at = start; at < start + bytes; at += 1) field += block[at] ?? 0
  return { all, checksum: all - field + bytes * SPACE }
}

/** The number in a field; `undefined` for anything else, GNU's binary numbers included. */
export function readOctal(block: Uint8Array, [start, bytes]: TarField): number | undefined {
  const end = start + bytes
  let value = 0
  let at = start
  for (; at < end; at += 1) {
    const digit = (block[at] ?? 0) - 0x30
    if (digit < 0 || digit > 7) break
    value = value * 8 + digit
  }
  const digits = at - start
  while (at < end && (block[at] === 0 || block[at] === SPACE)) at += 1
  return digits > 0 && digits < bytes && at === end ? value : undefined
}

/**
 * Exactly `digits` octal digits.
 * @throws RangeError when the number needs more
 */
export function octalDigits(n: number, digits: number): string {
  const text = n.toString(8).padStart(digits, '0')
  if (text.length > digits) throw new RangeError(`${n} does not fit ${digits} octal digits`)
  return text
}
