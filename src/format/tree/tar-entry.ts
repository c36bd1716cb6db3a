/**
 * One entry of a tree: header and extended header joined, each field judged for its type.
 *
 * 1. The type is one of file, hard link, symbolic link, directory, device, fifo. Anything else
 *    (GNU sparse, long names, multi-volume, global pax, contiguous, unknown) is refused.
 * 2. Extended values replace those of the header. A size may be given twice only if both agree
 *    or the header's is zero, so that two readers cannot see two different tars.
 * 3. Only files have content; only links have a target.
 *
 * Not promised: that the path's parent exists; `TreeNames` knows.
 */
import { enforce } from '../limits.ts'
import type { PaxRecords, Xattr } from './tar-pax.ts'
import { type TarHeader, tarError } from './tree-header.ts'
import { pathError, showPath, type TreePath, treePath } from './tree-path.ts'

/** What every entry has. */
export interface Metadata {
  readonly path: TreePath
  /** Permission bits with set-user-ID, set-group-ID and sticky: 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Seconds since 1970, with a fraction; negative before. */
  readonly mtime: number
  readonly xattrs: readonly Xattr[]
}

export type FileEntry = Metadata & { readonly kind: 'file'; readonly bytes: number }
export type DirectoryEntry = Metadata & { readonly kind: 'directory' }
/** The target is opaque bytes (latin1): absolute ones and `..` are usual in a root tree. */
export type SymlinkEntry = Metadata & { readonly kind: 'symlink'; readonly target: string }
export type HardLinkEntry = Metadata & { readonly kind: 'hard-link'; readonly target: TreePath }
export type FifoEntry = Metadata & { readonly kind: 'fifo' }
export type DeviceEntry = Metadata & {
  readonly kind: 'device'
  readonly device: 'character' | 'block'
  readonly major: number
  readonly minor: number
}
export type SpecialEntry = DeviceEntry | FifoEntry
export type TarEntry = FileEntry | DirectoryEntry | SymlinkEntry | HardLinkEntry | SpecialEntry

/** 2^32 - 1 means "leave as it is" to chown. */
const ID_MAX = 2 ** 32 - 2
const REFUSED_TYPES: Readonly<Record<string, string>> = {
  g: 'a global pax header',
  K: 'a GNU long link name',
  L: 'a GNU long name',
  S: 'a GNU sparse file',
  M: 'a GNU multi-volume continuation',
  V: 'a GNU volume label',
  D: 'a GNU directory dump',
  N: 'a GNU old long name',
  '7': 'a contiguous file',
  '\0': 'a file of the time before POSIX',
}

/**
 * Joins a header with the extended header before it.
 * @throws OsflashError `format`, `limit`
 */
export function tarEntry(header: TarHeader, pax: PaxRecords, atByte: number): TarEntry {
  const metadata = metadataOf(header, pax, atByte)
  const bytes = sizeOf(header, pax, atByte)
  if (header.typeFlag === '0') {
    requireNoTarget(header, pax, atByte)
    if ((pax.path ?? header.name).endsWith('/')) {
      throw pathError(metadata.path, 'a file cannot end in a slash')
    }
    return { ...metadata, kind: 'file', bytes }
  }
  const entry = entryWithoutContent(header, pax, metadata)
  if (entry === undefined) throw tarError(atByte, refusal(header.typeFlag), [HINT])
  if (bytes !== 0) throw tarError(atByte, `a ${entry.kind} cannot have content`)
  if (entry.kind !== 'symlink' && entry.kind !== 'hard-link') requireNoTarget(header, pax, atByte)
  return entry
}

const HINT = 'make the tar with: tar --format=pax --xattrs, without --sparse'

function refusal(typeFlag: string): string {
  const code = typeFlag.charCodeAt(0).toString(16).padStart(2, '0')
  return `its type (${REFUSED_TYPES[typeFlag] ?? `0x${code}`}) is not supported`
}

function entryWithoutContent(
  header: TarHeader,
  pax: PaxRecords,
  metadata: Metadata,
): Exclude<TarEntry, FileEntry> | undefined {
  const target = pax.linkpath ?? header.linkName
  const device = { kind: 'device', major: header.deviceMajor, minor: header.deviceMinor } as const
  switch (header.typeFlag) {
    case '1':
      return { ...metadata, kind: 'hard-link', target: treePath(target) }
    case '2':
      return { ...metadata, kind: 'symlink', target: symlinkTarget(target, metadata.path) }
    case '3':
      return { ...metadata, ...device, device: 'character' }
    case '4':
      return { ...metadata, ...device, device: 'block' }
    case '5':
      return { ...metadata, kind: 'directory' }
    case '6':
      return { ...metadata, kind: 'fifo' }
    default:
      return undefined
  }
}

function metadataOf(header: TarHeader, pax: PaxRecords, atByte: number): Metadata {
  const uid = pax.uid ?? header.uid
  const gid = pax.gid ?? header.gid
  if (uid > ID_MAX || gid > ID_MAX) throw tarError(atByte, 'its owner is over 4294967294')
  if (header.mode > 0o7777) throw tarError(atByte, 'its mode is over 07777')
  const mtime = pax.mtime ?? header.mtime
  const path = treePath(pax.path ?? header.name)
  return { path, mode: header.mode, uid, gid, mtime, xattrs: pax.xattrs }
}

function sizeOf(header: TarHeader, pax: PaxRecords, atByte: number): number {
  if (pax.size === undefined) return header.size
  if (header.size !== 0 && header.size !== pax.size) {
    throw tarError(atByte, `its size is ${header.size} and, in pax, ${pax.size}`)
  }
  if (!Number.isSafeInteger(pax.size)) throw tarError(atByte, 'its size is over 2^53 - 1')
  return pax.size
}

function requireNoTarget(header: TarHeader, pax: PaxRecords, atByte: number): void {
  if (header.linkName === '' && pax.linkpath === undefined) return
  throw tarError(atByte, 'it is no link and has a link target')
}

function symlinkTarget(target: string, path: TreePath): string {
  enforce('tarPathBytes', target.length, `the link target of ${showPath(path)} of the tree`)
  if (target !== '' && !target.includes('\0')) return target
  throw pathError(path, 'its link target is empty or holds a NUL')
}
