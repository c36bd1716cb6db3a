/**
 * What can be measured: one entry is one shell command, with all that it needs.
 *
 * 1. Commands run in the bench's folder and use plain file names, so that they can be printed,
 *    published and typed again; the variables are those of `environmentOf` (measure.ts).
 * 2. `inputs` are made once, before the first round; `before` runs before each round, `check`
 *    after it; only `run` is measured.
 * 3. A command that writes ends when its bytes are on the disk.
 */

/** A file that a command reads, and how it is made. */
export interface MadeFile {
  readonly file: string
  readonly command: string
}

/** What the rate of an entry is counted in: see `Input`. */
export type Group = 'disk' | 'tree' | 'pack'

export interface Entry {
  readonly name: string
  readonly group: Group
  readonly kind: 'ceiling' | 'peer' | 'osflash'
  readonly title: string
  /** Programs that must be on the PATH. */
  readonly needs: readonly string[]
  readonly inputs?: readonly MadeFile[]
  readonly before?: string
  readonly run: string
  /** Fails when the output is not equal to the source. Absent where nothing is written. */
  readonly check?: string
  /** A file whose size is a result too. */
  readonly output?: string
  /** Seconds by what the command printed, where its start-up is no part of the question. */
  readonly seconds?: (stdout: string) => number
}
