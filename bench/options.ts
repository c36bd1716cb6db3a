/**
 * The command line of the bench.
 */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { OsflashError } from '../src/errors.ts'

export interface BenchOptions {
  readonly rounds: number
  readonly workers: number
  readonly large: boolean
  /** Where a scratch folder for inputs and targets is made. */
  readonly folder: string
  /** Names of entries or groups; empty: all. */
  readonly only: readonly string[]
  readonly help: boolean
}

export const HELP = `Usage: npm run bench -- [options]

measures osflash against the machine's ceilings and against other tools

Options:
  --rounds <n>     runs of each entry, in turn (default: 5)
  --workers <n>    threads of osflash and of peers that have threads
                   (default: one for each processor)
  --only <name>    an entry or a group (disk, tree, pack); may be repeated
  --large          an image of 8 GiB with 3.9 GB of data, not of 2 GiB with 1 GB
  --folder <dir>   where to work; needs 6 GB, with --large 24 GB
                   (default: build/bench)
  --help           print this help
`

/** @throws OsflashError `usage` */
export function readOptions(args: readonly string[], defaultFolder: string): BenchOptions {
  const { values, positionals } = parsed(args)
  const { rounds = '5', workers = String(availableParallelism()) } = values
  return {
    rounds: wholeNumber(rounds, '--rounds'),
    workers: wholeNumber(workers, '--workers'),
    large: values.large ?? false,
    folder: resolve(values.folder ?? defaultFolder),
    // `--only write decode` reads as well as `--only write --only decode`.
    only: [...(values.only ?? []), ...positionals],
    help: values.help ?? false,
  }
}

function parsed(args: readonly string[]) {
  try {
    const result = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        rounds: { type: 'string' },
        workers: { type: 'string' },
        only: { type: 'string', multiple: true },
        large: { type: 'boolean' },
        folder: { type: 'string' },
        help: { type: 'boolean' },
      },
    })
    if (result.positionals.length > 0 && result.values.only === undefined) {
      throw new Error(`unexpected argument '${result.positionals[0]}'`)
    }
    return result
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new OsflashError('usage', `reading the command line: ${why}`, {
      cause,
      hints: ['npm run bench -- --help'],
    })
  }
}

function wholeNumber(text: string, option: string): number {
  const n = Number(text)
  if (/^\d{1,3}$/.test(text) && n > 0) return n
  throw new OsflashError('usage', `reading ${option}: ${text} is no number from 1 to 999`)
}
