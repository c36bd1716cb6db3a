/**
 * GRUB's environment block: what its `load_env` reads and its `save_env` writes in place.
 *
 * | offset | size | what                                                             |
 * |--------|------|------------------------------------------------------------------|
 * | 0      | 25   | `# GRUB Environment Block` and a newline                         |
 * | 25     | …    | lines `name=value`; `\` stands before a newline or `\` in a value |
 * | …      | …    | `#` up to byte 1,024                                             |
 *
 * 1. Lines that begin with `#` are comments; GRUB keeps them, and so does `changeEnvironment`.
 * 2. GRUB cannot make the file longer, so the block always has its full size.
 *
 * Pure. Not promised: blocks outside a file (btrfs of SUSE).
 */
import { OsflashError } from '../errors.ts'

/** GRUB 2.x, include/grub/lib/envblk.h: `DEFAULT_ENVBLK_SIZE`. */
export const GRUB_ENVIRONMENT_BYTES = 1024
const SIGNATURE = '# GRUB Environment Block\n'

/** A block without variables. */
export function emptyGrubEnvironment(): Uint8Array {
  return encode('')
}

/**
 * The variables of a block, in their order.
 * @throws OsflashError `format` when it is no block
 */
export function parseGrubEnvironment(block: Uint8Array): ReadonlyMap<string, string> {
  return new Map(
    linesOf(block).flatMap((line) => {
      const at = line.indexOf('=')
      if (line.startsWith('#') || at < 1) return []
      return [[line.slice(0, at), unescapeValue(line.slice(at + 1, -1))] as const]
    }),
  )
}

/**
 * The same block with other values; `undefined` takes a variable out. All else stays.
 * @throws OsflashError `format` when it is no block, `limit` when the variables do not fit
 */
export function changeGrubEnvironment(
  block: Uint8Array,
  changes: Readonly<Record<string, string | undefined>>,
): Uint8Array {
  const waiting = new Map(Object.entries(changes))
  const kept = linesOf(block).flatMap((line) => {
    const name = line.slice(0, Math.max(0, line.indexOf('=')))
    if (line.startsWith('#') || !(name in changes)) return [line]
    const value = waiting.get(name)
    waiting.delete(name)
    return value === undefined ? [] : [variableLine(name, value)]
  })
  const added = [...waiting].flatMap(([name, value]) =>
    value === undefined ? [] : [variableLine(name, value)],
  )
  return encode([...kept, ...added].join(''))
}

function encode(lines: string): Uint8Array {
  const bytes = Buffer.from(SIGNATURE + lines, 'latin1')
  if (bytes.length > GRUB_ENVIRONMENT_BYTES) {
    throw new OsflashError('limit', `writing a GRUB environment block: ${bytes.length} bytes`, {
      hints: [`at most ${GRUB_ENVIRONMENT_BYTES}; grub-editenv - list shows what is in it`],
    })
  }
  const block = new Uint8Array(GRUB_ENVIRONMENT_BYTES).fill('#'.charCodeAt(0))
  block.set(bytes)
  return block
}

/** Each line with its newline; the padding is none. */
function linesOf(block: Uint8Array): readonly string[] {
  const text = Buffer.from(block).toString('latin1')
  if (block.length !== GRUB_ENVIRONMENT_BYTES || !text.startsWith(SIGNATURE)) {
    throw new OsflashError('format', 'reading a GRUB environment block: it is none', {
      data: { bytes: block.length },
      hints: ['grub-editenv /boot/grub/grubenv create makes an empty one'],
    })
  }
  // An escaped newline does not end its line.
  return text.slice(SIGNATURE.length).match(/(?:[^\\\n]|\\[\s\S])*\n/g) ?? []
}

const variableLine = (name: string, value: string): string =>
  `${name}=${value.replaceAll(/[\\\n]/g, '\\$&')}\n`

const unescapeValue = (text: string): string => text.replaceAll(/\\([\s\S])/g, '$1')
