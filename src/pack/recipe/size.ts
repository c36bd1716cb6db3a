/**
 * Sizes as recipes write them: `512MiB`, `4GiB`, `1048576`.
 *
 * 1. A whole number and an optional binary unit; decimal units are refused, because partition
 *    tools disagree about them.
 * 2. The schema holds the pattern, so editors show a wrong size before a build does.
 */
import { type ByteCount, byteCount, GIB, KIB, MIB } from '../../units.ts'

/** What a size may look like. */
export const SIZE_PATTERN = /^([1-9][0-9]{0,14})(KiB|MiB|GiB|TiB)?$/

const UNIT_BYTES: Readonly<Record<string, number>> = {
  KiB: KIB,
  MiB: MIB,
  GiB: GIB,
  TiB: 1024 * GIB,
}

/**
 * A size in bytes.
 * @throws RangeError when the text is no size or is 2^53 bytes or more
 */
export function parseSize(text: string): ByteCount {
  const [, digits, unit] = SIZE_PATTERN.exec(text) ?? []
  if (digits === undefined) throw new RangeError(`not a size: ${text}`)
  return byteCount(Number(digits) * (UNIT_BYTES[unit ?? ''] ?? 1))
}
