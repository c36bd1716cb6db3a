/**
 * The speed section of README.md: machine, table, ratios, chart, from one file of results; and
 * the profile in docs/performance.md.
 *
 * 1. A row for each entry of the groups that users ask about, a column for each number of cores.
 * 2. What was not reached is shown like what was; ratios are cut, never rounded up.
 * 3. The section lies between two marks; the rest of the page is not touched.
 */
import type { Group } from './entry.ts'
import { machineText } from './machine.ts'
import { type BenchResults, type EntryResult, ratiosOf } from './results.ts'
import { GROUP_TITLES } from './table.ts'

const BEGIN = '<!-- bench: begin; made by npm run bench:readme -->'
const END = '<!-- bench: end -->'
const TITLE = /^# .*\n+/
const SHOWN: readonly Group[] = ['disk', 'tree', 'files', 'pack']

/** The section. @param name of the results' files, without what follows the dot */
export function renderBlock(results: BenchResults, name: string): string {
  const { cores, entries, machine, rounds, input } = results
  const shown = entries.filter(({ group }) => SHOWN.includes(group))
  const titles = cores.map((count) => `${count} cores`)
  const path = `bench/results/${name}`
  return [
    BEGIN,
    `${machineText(machine)};`,
    `${results.date}, medians of ${rounds} rounds, MB of data a second.`,
    `The disk image has ${Math.round(input.mappedBytes / 1e6)} MB of data.`,
    ...busyLines(results),
    `Versions, commands and spread: [${name}.md](${path}.md).`,
    '',
    row(['', ...titles]),
    row(['---', ...titles.map(() => '--:')]),
    ...distinct(shown).map((entry) => row([label(entry), ...cores.map(rateOf(shown, entry.name))])),
    '',
    row(['target', 'wanted', ...titles]),
    row(['---', '--:', ...titles.map(() => '--:')]),
    ...ratioRows(results),
    '',
    `![chart](${path}.svg)`,
    END,
  ].join('\n')
}

/** The section of a profile: its page without the title, one level deeper. */
export function renderProfile(profile: string, name: string): string {
  const body = profile.replace(TITLE, '').replaceAll(/^##/gm, '###').trim()
  return [BEGIN, `From [${name}.md](../bench/results/${name}.md).`, '', body, END].join('\n')
}

/** Above this load before the first round, other programs took part. */
const QUIET_LOAD = 1

const busyLines = ({ loadBefore }: BenchResults): readonly string[] =>
  loadBefore <= QUIET_LOAD
    ? []
    : [
        `**Other programs used the machine (load ${loadBefore.toFixed(1)}): the figures show`,
        'that the bench works, and no more.**',
      ]

/** The page with another section. @throws Error when the marks are missing */
export function replaceBlock(page: string, block: string): string {
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (from < 0 || to < from) throw new Error('the page has no marks for the bench')
  return page.slice(0, from) + block + page.slice(to + END.length)
}

/** Each entry once, whatever the cores. */
const distinct = (entries: readonly EntryResult[]): readonly EntryResult[] =>
  entries.filter(({ name }, i) => entries.findIndex((other) => other.name === name) === i)

const label = ({ group, title }: EntryResult): string =>
  `${GROUP_TITLES[group]}: ${title.replaceAll('|', '\\|')}`

const rateOf = (entries: readonly EntryResult[], name: string) => (count: number) => {
  const found = entries.find((entry) => entry.name === name && entry.cores === count)
  return found === undefined ? '' : `${Math.floor(found.rate.median)}`
}

function ratioRows({ cores, entries }: BenchResults): readonly string[] {
  const each = cores.map((count) => ratiosOf(entries.filter((entry) => entry.cores === count)))
  // Which ceiling is the lower one differs, and so does what the machine itself gives.
  const plain = (what: string): string => what.replace(/ \(.*\)$/, '')
  const names = new Map(each.flat().map(({ what, target }) => [plain(what), target]))
  return [...names].map(([name, target]) => {
    const values = each.map((ratios) => {
      const found = ratios.find(({ what }) => plain(what) === name)
      return found === undefined ? '' : (Math.floor(found.value * 100) / 100).toFixed(2)
    })
    return row([name, String(target), ...values])
  })
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
