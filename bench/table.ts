/**
 * Results as Markdown: one table for the rates, one for the ratios.
 *
 * 1. Rates and ratios are cut, never rounded up: 0.899 is not 0.9.
 * 2. Versions and commands follow, so that everything can be done again by hand.
 */
import { GIB, MIB } from '../src/units.ts'
import type { Group } from './entry.ts'
import { machineText } from './machine.ts'
import { type BenchResults, type EntryResult, type Ratio, ratiosOf } from './results.ts'

/** The groups in their order, with the headings of table and chart. */
export const GROUP_TITLES: Readonly<Record<Group, string>> = {
  disk: 'disk image',
  scaling: 'scaling',
  tree: 'file tree',
  files: 'small files',
  pack: 'packing',
  codec: 'codecs',
  memory: 'memory',
}

/** The whole page of one run. */
export function renderMarkdown(results: BenchResults): string {
  const lines = [
    `# Bench of ${results.date}`,
    '',
    `${machineText(results.machine)}; ${results.rounds} rounds,`,
    `zstd level ${results.level}, load before the run ${results.loadBefore.toFixed(1)}.`,
    '',
    ...inputLines(results),
    '',
    ...results.cores.flatMap((cores) => coresLines(results, cores)),
    ...results.skipped.map(({ name, why }) => `- left out: ${name} (${why})`),
    ...Object.entries(results.versions).map(([name, version]) => `- ${name}: ${version}`),
    '',
    'Each command in a folder with the inputs; `out.*` does not exist before, or is allocated:',
    '',
    '```sh',
    ...commandsOf(results).flatMap(([name, command]) => [`# ${name}`, command]),
    '```',
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

function inputLines({ input }: BenchResults): readonly string[] {
  const { diskBytes, mappedBytes, files, fileBytes, smallFiles, smallFileBytes } = input
  return [
    `Input: an ext4 image of ${diskBytes / GIB} GiB with ${megabytes(mappedBytes)} MB of data;`,
    `a tree of ${files} files with ${megabytes(fileBytes)} MB,`,
    `one of ${smallFiles} small files with ${megabytes(smallFileBytes)} MB;`,
    `for the codecs files of ${megabytes(input.codecFileBytes)} MB.`,
  ]
}

/** The tables of one number of cores. */
function coresLines({ entries }: BenchResults, cores: number): readonly string[] {
  const own = entries.filter((entry) => entry.cores === cores)
  return [
    `## ${cores} cores, for osflash and for peers`,
    '',
    '| what | MB/s | min–max | cores busy | peak MiB | packed MiB | equal |',
    '|---|--:|--:|--:|--:|--:|---|',
    ...own.map(entryRow),
    '',
    ...ratioLines(ratiosOf(own)),
  ]
}

/** Each command once, whatever the cores. */
const commandsOf = ({ entries }: BenchResults): readonly (readonly [string, string])[] => [
  ...new Map(entries.map(({ name, command }) => [name, command])),
]

function entryRow(entry: EntryResult): string {
  const { median, min, max } = entry.rate
  const cells = [
    `${GROUP_TITLES[entry.group]}: ${entry.title.replaceAll('|', '\\|')}`,
    Math.floor(median),
    `${Math.floor(min)}–${Math.floor(max)}`,
    entry.coresBusy.toFixed(1),
    Math.ceil(entry.peakBytes / MIB),
    entry.outputBytes === undefined ? '' : (entry.outputBytes / MIB).toFixed(1),
    entry.checked ? 'yes' : '–',
  ]
  return `| ${cells.join(' | ')} |`
}

function ratioLines(ratios: readonly Ratio[]): readonly string[] {
  if (ratios.length === 0) return []
  const rows = ratios.map(({ what, value, target, reached }) => {
    const shown = Math.floor(value * 100) / 100
    return `| ${what} | ${shown.toFixed(2)} | ${target} | ${reached ? 'yes' : 'no'} |`
  })
  return ['| ratio of medians | is | wanted | reached |', '|---|--:|--:|---|', ...rows, '']
}

const megabytes = (bytes: number): number => Math.round(bytes / 1e6)
