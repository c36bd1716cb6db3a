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
export type Group = 'disk' | 'scaling' | 'tree' | 'files' | 'pack' | 'codec' | 'memory'

export interface Entry {
  readonly name: string
  readonly group: Group
  readonly kind: 'ceiling' | 'peer' | 'osflash'
  readonly title: string
  /** Programs that must be on the PATH. */
  readonly needs: readonly string[]
  /** Files (a pattern of the shell) that are read into memory before each run. */
  readonly reads: string
  /** Succeeds where the entry can run at all: what a missing program does not tell. */
  readonly probe?: string
  readonly inputs?: readonly MadeFile[]
  readonly before?: string
  readonly run: string
  /** Runs after `check`, also when something failed. */
  readonly after?: string
  /** Fails when the output is not equal to the source. Absent where nothing is written. */
  readonly check?: string
  /** A file whose size is a result too. */
  readonly output?: string
  /** What the command printed of its time, where its start-up is no part of the question. */
  readonly took?: (stdout: string) => Took
  /** Threads, where the entry is about their number; else as many as there are cores. */
  readonly workers?: number
  /** Measured with all cores only. */
  readonly widest?: true
  /** Measured in the first round only: it takes long, or its question is not the time. */
  readonly once?: true
  /** Also measured with `--large`, where every run takes long. */
  readonly main?: true
  /** Bytes of data, where they are not those of the group. */
  readonly dataBytes?: number
}

/** Seconds of a part of a process. */
export interface Took {
  readonly seconds: number
  readonly cpuSeconds?: number
}

/** Reads `SECONDS` or `SECONDS CPU-SECONDS`. */
export function secondsPrinted(stdout: string): Took {
  const [seconds = Number.NaN, cpuSeconds] = stdout.trim().split(/\s+/).map(Number)
  return { seconds, ...(cpuSeconds === undefined ? {} : { cpuSeconds }) }
}
