/**
 * Branded units: a count of bytes and a place in bytes cannot be mixed up.
 *
 * 1. Each brand has one maker, and the maker checks: a whole number from 0 to 2^53 - 1.
 * 2. Arithmetic gives plain numbers; the maker brands the result where it enters a structure.
 * 3. Text for people (`formatBytes`, `formatDuration`) uses binary units.
 */

declare const brand: unique symbol
type Branded<Name extends string> = number & { readonly [brand]: Name }

/** A size in bytes. */
export type ByteCount = Branded<'ByteCount'>
/** A place in a payload, a file or a disk, in bytes from its start. */
export type ByteOffset = Branded<'ByteOffset'>

export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB

/** @throws RangeError when the number is not a whole number from 0 to 2^53 - 1 */
export const byteCount = (n: number): ByteCount => checked(n, 'byte count') as ByteCount
/** @throws RangeError when the number is not a whole number from 0 to 2^53 - 1 */
export const byteOffset = (n: number): ByteOffset => checked(n, 'byte offset') as ByteOffset

function checked(n: number, what: string): number {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`not a ${what}: ${n}`)
  return n
}

/** The smallest multiple of `unit` that is not below `n`. */
export const alignUp = (n: number, unit: number): number => Math.ceil(n / unit) * unit
/** The largest multiple of `unit` that is not above `n`. */
export const alignDown = (n: number, unit: number): number => Math.floor(n / unit) * unit

/** Bytes for people: `1.5 GiB`, three significant digits. */
export function formatBytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = n
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toPrecision(value < 999.5 ? 3 : 4)} ${units[unit]}`
}

/** Seconds for people: `0.8 s`, `1 min 05 s`, `2 h 03 min`. */
export function formatDuration(seconds: number): string {
  // 59.96 would read as 60.0.
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, '0')} s`
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}
