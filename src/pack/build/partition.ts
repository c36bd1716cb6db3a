/**
 * One partition of the new disk, made as a file of its own: what all file systems share.
 *
 * 1. A job names the file, the size, the identifiers, and the tree that goes in.
 * 2. The result is the file, and the ranges that nobody needs to write.
 */
import type { ByteCount } from '../../units.ts'
import type { FileSystemKind } from '../recipe/rules.ts'
import type { ByteRange } from '../source.ts'
import type { Identifiers } from './identifiers.ts'

/** What a maker of file systems is asked for. */
export interface PartitionJob {
  /** The file to make. */
  readonly path: string
  /** Name of the partition, which its identifiers derive from. */
  readonly name: string
  readonly uuid: string
  readonly label: string | undefined
  readonly identifiers: Identifiers
  readonly sectorBytes: 512 | 4096
  /** The exact size, or `fit`: what the tree needs, with some room. */
  readonly size: ByteCount | 'fit'
  /** The folder whose content goes in; `undefined` for an empty file system. */
  readonly tree: string | undefined
}

/** A finished partition. */
export interface PartitionFile {
  readonly bytes: ByteCount
  /** Ranges that need not be written, sorted. */
  readonly unused: readonly ByteRange[]
}

/**
 * The identifier of the file system in a partition, as blkid shows it; known before it is made.
 */
export function fileSystemUuid(
  kind: FileSystemKind,
  name: string,
  identifiers: Identifiers,
): string {
  if (kind !== 'vfat') return identifiers.uuid(`file system ${name}`)
  const serial = identifiers.hex(`file system ${name}`, 4).toUpperCase()
  return `${serial.slice(0, 4)}-${serial.slice(4)}`
}
