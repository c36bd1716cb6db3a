/**
 * Extended attributes, restored by `setfattr --restore` in batches.
 *
 * 1. The tool is looked for when the first attribute comes, not after the whole tree.
 * 2. Attributes of files gather to 1 MiB of text, then one call sets them. The mode of such a
 *    file is set after it: setting an attribute wants write permission, and changing the owner
 *    or writing would clear a capability.
 * 3. Attributes of directories wait for the end: a default access list is inherited.
 * 4. Values go as hex (setfattr 2.5.1 drops an empty value in base64 without an error); names and
 *    paths with octal escapes, which keep every byte.
 *
 * Not promised: for other users than root, attributes outside of `user.`; one note says so.
 */
import type { Emit } from '../../events.ts'
import type { Metadata } from '../../format/tree/tar-entry.ts'
import type { Xattr } from '../../format/tree/tar-pax.ts'
import { type Argv, run } from '../../system/run.ts'
import type { TreeTarget } from './tree-target.ts'

const BATCH_CHARACTERS = 1024 * 1024
// -h: never follow a symbolic link.
const RESTORE: Argv = ['setfattr', '-h', '--restore=-']

export interface XattrOptions {
  readonly target: TreeTarget
  readonly isRoot: boolean
  readonly emit: Emit
  readonly signal: AbortSignal | undefined
  /** Waits until the entries that were added are there, and complete. */
  readonly filesMade: () => Promise<void>
}

export class XattrBatch {
  readonly #options: XattrOptions
  #text: string[] = []
  #characters = 0
  /** What is to be done when the attributes are set. */
  #afterwards: (() => void)[] = []
  #toolFound = false
  #noted = false

  constructor(options: XattrOptions) {
    this.#options = options
  }

  /** The attributes of an entry that this user may restore. */
  restorable({ xattrs }: Metadata): readonly Xattr[] {
    if (this.#options.isRoot || xattrs.length === 0) return xattrs
    const allowed = xattrs.filter(({ name }) => name.startsWith('user.'))
    if (allowed.length < xattrs.length && !this.#noted) {
      this.#noted = true
      const text = 'extended attributes outside of user.* are not restored: only root may'
      this.#options.emit({ event: 'note', text })
    }
    return allowed
  }

  /**
   * Adds the attributes of an entry; `afterwards` is called when they are set.
   * @throws OsflashError `missing-tool`, `process`, `cancelled`
   */
  async add(metadata: Metadata, afterwards?: () => void): Promise<void> {
    if (!this.#toolFound) {
      await run(['setfattr', '--version'], { signal: this.#options.signal, stdout: 'ignore' })
      this.#toolFound = true
    }
    const text = dumpOf(metadata, this.restorable(metadata))
    this.#text.push(text)
    this.#characters += text.length
    if (afterwards !== undefined) this.#afterwards.push(afterwards)
    if (this.#characters >= BATCH_CHARACTERS) await this.flush()
  }

  /** Sets what was added. @throws OsflashError `process`, `cancelled` */
  async flush(): Promise<void> {
    if (this.#text.length === 0) return
    await this.#options.filesMade()
    const stdin = Buffer.from(this.#text.join(''), 'latin1')
    const { target, signal } = this.#options
    await run(RESTORE, { signal, stdin, cwd: target.directory })
    for (const act of this.#afterwards) act()
    this.#text = []
    this.#characters = 0
    this.#afterwards = []
  }
}

/** As `getfattr --dump` writes it: a comment with the path, a line an attribute, an empty line. */
function dumpOf({ path }: Metadata, xattrs: readonly Xattr[]): string {
  const lines = xattrs.map(({ name, value }) => `${escaped(name)}=0x${value.toString('hex')}\n`)
  return `# file: ./${escaped(path)}\n${lines.join('')}\n`
}

/** setfattr reads \ooo as the byte with that octal number. */
function escaped(latin1: string): string {
  const octal = (byte: string) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`
  return latin1.replace(/[^A-Za-z0-9._/-]/g, octal)
}
