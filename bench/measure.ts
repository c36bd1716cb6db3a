/**
 * Runs one command of the bench, and says what it took.
 *
 * 1. A command is a line of bash (pipelines, so `pipefail`), in the bench's folder.
 * 2. Time is that of the whole process, start-up included, unless the entry says otherwise.
 * 3. `taskset` gives every entry the same processors, peers too.
 * 4. Processor seconds and peak memory come from `time -f`; the peak is that of the largest
 *    single process of the pipeline.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Argv, run } from '../src/system/run.ts'
import type { Entry } from './entry.ts'

/** Where commands run, and with what. */
export interface Shell {
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
  /** What is measured runs on so many processors, the first ones; absent: on all. */
  readonly cores?: number
  readonly signal: AbortSignal
}

export interface Measurement {
  /** What the rate is made of. */
  readonly seconds: number
  /** From the start of the process to its end. */
  readonly wallSeconds: number
  /** Of the same part as `seconds` where the entry says it, else of the whole process. */
  readonly cpuSeconds: number
  readonly peakBytes: number
}

const STRICT = 'set -euo pipefail\n'

/** Runs a line of bash to its end and gives its standard output. @throws OsflashError `process` */
export async function shell(where: Shell, command: string): Promise<string> {
  return (await run(['bash', '-c', STRICT + command], optionsOf(where))).stdout
}

/** Runs the command of an entry, and measures it. @throws OsflashError `process` */
export async function measure(where: Shell, entry: Entry): Promise<Measurement> {
  const timed: Argv = ['time', '-q', '-f', '%U %S %M', '-o', 'usage.txt']
  const pinned = where.cores === undefined ? [] : ['taskset', '-c', `0-${where.cores - 1}`]
  const argv: Argv = [...timed, ...pinned, 'bash', '-c', STRICT + entry.run]
  const startMs = performance.now()
  const { stdout } = await run(argv, optionsOf(where))
  const wallSeconds = (performance.now() - startMs) / 1000
  const usage = await readFile(join(where.folder, 'usage.txt'), 'utf8')
  const [user = 0, system = 0, peakKib = 0] = usage.trim().split(' ').map(Number)
  return {
    seconds: wallSeconds,
    wallSeconds,
    cpuSeconds: user + system,
    ...entry.took?.(stdout),
    peakBytes: peakKib * 1024,
  }
}

function optionsOf({ folder, env, signal }: Shell) {
  return { cwd: folder, env, signal }
}
