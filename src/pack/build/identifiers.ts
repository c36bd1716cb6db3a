/**
 * Identifiers that are derived, not drawn: the same recipe gives the same disk.
 *
 * 1. The seed is SHA-256 of the name and of the recipe's content as canonical JSON (keys sorted,
 *    paths as they were written, so the folder of the checkout does not count).
 * 2. An identifier is SHA-256 of `osflash identifier`, the seed and what it is for, each ended by
 *    NUL. Its first 16 bytes become a UUID of version 8 (RFC 9562, section 5.8).
 *
 * Not promised: difference between two machines made from one image; that is the host's matter.
 */
import { createHash } from 'node:crypto'
import { isMapping } from '../recipe/document.ts'

/** Gives identifiers for one recipe; `purpose` is e.g. `partition root`. */
export interface Identifiers {
  uuid(purpose: string): string
  /** `bytes` bytes as lower-case hex; never all zero. */
  hex(purpose: string, bytes: number): string
}

export function identifiersFor(name: string, content: unknown): Identifiers {
  const seed = sha256(['osflash recipe', name, canonicalJson(content)])
  const digest = (purpose: string) => sha256(['osflash identifier', seed.toString('hex'), purpose])
  return {
    uuid: (purpose) => uuidOf(digest(purpose)),
    hex: (purpose, bytes) => {
      const part = digest(purpose).subarray(0, bytes)
      return part.every((byte) => byte === 0) ? '1'.padStart(bytes * 2, '0') : part.toString('hex')
    },
  }
}

function uuidOf(digest: Buffer): string {
  const bytes = Buffer.from(digest.subarray(0, 16))
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

function sha256(parts: readonly string[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest()
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (!isMapping(value)) return JSON.stringify(value) ?? 'null'
  const keys = Object.keys(value).toSorted()
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`).join(',')}}`
}
