/**
 * The command line of the bench.
 */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { OsflashError } from '../src/errors.ts'

export interface BenchOptions {
  readonly rounds: number
  /** One pass for each, all entries on so many processors with as many workers; ascending. */
  readonly cores: readonly number[]
  readonly large: boolean
  /** Where the results go, if not to the place for all. */
  readonly results?: string
  /** Where a scratch folder for inputs and targets is made. */
  readonly folder: string
  /** Starts osflash; absent: the compiled one of this checkout. */
  readonly program?: string
  /** Names of entries or groups; empty: all. */
  readonly only: readonly string[]
  readonly help: boolean
}

export const HELP = `Usage: npm run bench -- [options]

measures osflash against the machine's ceilings and against other tools

Options:
  --rounds <n>     runs of each entry, in turn (default: 5)
  --cores <list>   processors for osflash and peers alike, with as many threads;
                   several in turn (default: 2 and all of them, such as 2,4)
  --only <name>    an entry or a group (disk, scaling, tree, files, pack, codec,
                   memory); may be repeated
  --large          an image of 8 GiB with 3.9 GB of data, not of 2 GiB with 1 GB,
                   and without --only disk and scaling, main entries
  --program <cmd>  the osflash to measure (default: the compiled one of this checkout)
  --results <dir>  where the results go (default: bench/results; with --only
                   build/bench-results)
  --folder <dir>   where to work; needs 40 GB, of which 34 for the group memory
                   (default: build/bench)
  --help           print this help
`

/** @throws OsflashError `usage` */
export function readOptions(args: readonly string[], defaultFolder: string): BenchOptions {
  const { values, positionals } = parsed(args)
  const { rounds = '5', cores = defaultCores(availableParallelism()), program, results } = values
  return {
    rounds: wholeNumber(rounds, '--rounds'),
    cores: coreList(cores),
    ...(program === undefined ? {} : { program }),
    ...(results === undefined ? {} : { results: resolve(results) }),
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
        cores: { type: 'string' },
        program: { type: 'string' },
        results: { type: 'string' },
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

const defaultCores = (all: number): string => (all > 2 ? `2,${all}` : String(all))

/** @throws OsflashError `usage` when there are not so many processors */
function coreList(text: string): readonly number[] {
  const list = [...new Set(text.split(',').map((part) => wholeNumber(part, '--cores')))]
  const most = Math.max(...list)
  if (most <= availableParallelism()) return list.sort((a, b) => a - b)
  throw new OsflashError(
    'usage',
    `reading --cores: ${most} processors, but there are ${availableParallelism()}`,
  )
}
