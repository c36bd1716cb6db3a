/**
 * The extended header of one entry (POSIX.1-2017, pax, "pax Extended Header"): records
 * `LENGTH KEY=VALUE\n`, one after another.
 *
 * 1. The length is decimal without leading zeros and counts the whole record.
 * 2. Known keys: path, linkpath, size, mtime, uid, gid, uname, gname, SCHILY.xattr.NAME. atime
 *    and ctime are tolerated and not restored: GNU tar always writes them, and neither can be
 *    given to a new file usefully (ctime not at all).
 * 3. Any other key (GNU.sparse.*, hdrcharset, access lists, labels) and any key that comes twice
 *    is refused: ignoring it would write another tree than the one that was packed.
 * 4. GNU tar writes `=` and `%` of an attribute's name as %3D and %25; they are put back.
 *
 * Not promised: a check of sizes; the caller has bounded the block (64 KiB) before. So the
 * attributes of one entry are below 64 KiB as well.
 */
import { LIMITS } from '../limits.ts'
import { tarError } from './tree-header.ts'

/** An extended attribute; the name holds one byte per character and begins with a namespace. */
export interface Xattr {
  readonly name: string
  readonly value: Buffer
}

/** What an extended header sets. Strings hold one byte per character (latin1). */
export interface PaxRecords {
  readonly path?: string
  readonly linkpath?: string
  readonly size?: number
  readonly mtime?: number
  readonly uid?: number
  readonly gid?: number
  readonly xattrs: readonly Xattr[]
}

export const NO_PAX: PaxRecords = { xattrs: [] }

const XATTR_PREFIX = 'SCHILY.xattr.'
const XATTR_NAME = /^(user|trusted|security|system)\.[^\0]+$/
const WHOLE = /^(0|[1-9][0-9]{0,15})$/
const SECONDS = /^-?[0-9]{1,12}(\.[0-9]{1,20})?$/
/** Keys whose value is not restored: owners go by number. */
const IGNORED = new Set(['uname', 'gname', 'atime', 'ctime'])

interface Draft {
  path?: string
  linkpath?: string
  size?: number
  mtime?: number
  uid?: number
  gid?: number
  xattrs: Xattr[]
}

/**
 * Decodes a whole extended header; `atByte` is the place of its header block.
 * @throws OsflashError `format`
 */
export function decodePax(block: Buffer, atByte: number): PaxRecords {
  const draft: Draft = { xattrs: [] }
  const seen = new Set<string>()
  let at = 0
  while (at < block.length) {
    const record = recordAt(block, at, atByte)
    if (seen.has(record.key)) throw tarError(atByte, `pax key ${show(record.key)} comes twice`)
    seen.add(record.key)
    take(draft, record, atByte)
    at = record.end
  }
  return draft
}

interface PaxRecord {
  readonly key: string
  readonly value: Buffer
  /** Where the next record begins. */
  readonly end: number
}

function recordAt(block: Buffer, start: number, atByte: number): PaxRecord {
  // Six digits are enough for a block of 64 KiB, and bound the search for the space.
  const length = /^([1-9][0-9]{0,5}) /.exec(block.toString('latin1', start, start + 7))?.[1]
  if (length === undefined) throw tarError(atByte, 'a pax record has no length')
  const end = start + Number(length)
  const keyAt = start + length.length + 1
  const equals = block.indexOf(0x3d, keyAt)
  const fits = end <= block.length && equals > keyAt && equals < end - 1
  if (!fits || block[end - 1] !== 0x0a) throw tarError(atByte, 'a pax record has a wrong length')
  return {
    key: block.toString('latin1', keyAt, equals),
    value: block.subarray(equals + 1, end - 1),
    end,
  }
}

function take(draft: Draft, { key, value }: PaxRecord, atByte: number): void {
  if (key.startsWith(XATTR_PREFIX)) {
    draft.xattrs.push({ name: xattrName(key, atByte), value: Buffer.from(value) })
    return
  }
  const text = value.toString('latin1')
  switch (key) {
    case 'path':
    case 'linkpath':
      if (text === '') throw tarError(atByte, `pax key ${key} is empty`)
      draft[key] = text
      return
    case 'size':
    case 'uid':
    case 'gid':
      draft[key] = Number(matching(text, WHOLE, { key, atByte }))
      return
    case 'mtime':
      draft[key] = Number(matching(text, SECONDS, { key, atByte }))
      return
    default:
      if (IGNORED.has(key)) return
      throw tarError(atByte, `pax key ${show(key)} is not supported`, [
        'make the tar with: tar --format=pax --xattrs, without --sparse, --acls and --selinux',
      ])
  }
}

function matching(text: string, rule: RegExp, at: { key: string; atByte: number }): string {
  if (rule.test(text)) return text
  throw tarError(at.atByte, `pax key ${at.key} is not a number: ${show(text)}`)
}

function xattrName(key: string, atByte: number): string {
  const name = key
    .slice(XATTR_PREFIX.length)
    .replace(/%(3D|25)/g, (_, code) => (code === '25' ? '%' : '='))
  if (XATTR_NAME.test(name) && name.length <= LIMITS.tarNameBytes) return name
  throw tarError(atByte, `${show(name)} is no name of an extended attribute`)
}

/** Bytes of the tar in a message: at most 100, and none that a terminal would obey. */
function show(latin1: string): string {
  return JSON.stringify(latin1.slice(0, 100)).replace(/[\x7f-\x9f]/g, '?')
}
