/**
 * What `osflash bench` found, as an SVG chart: seconds for a GiB of data; the longest bar limits.
 *
 * 1. A bar for each resource alone: read, the threads (digest, open, decompress in their turn, and
 *    what they wait for one another), write; then all together.
 * 2. The limiting stage is named below. One scale, from zero.
 */
import { basename } from 'node:path'
import { GIB } from '../units.ts'
import type { BenchReport } from '../unpack/bench/bench.ts'
import { rate } from './bench-text.ts'

const WIDTH = 760
const LABEL_WIDTH = 110
const VALUE_WIDTH = 110
const MARGIN = 16
const ROW_HEIGHT = 30
const BAR_HEIGHT = 20
const HEAD_HEIGHT = 44
const FOOT_HEIGHT = 52

const COLOURS = {
  read: '#8b949e',
  digest: '#9ecbff',
  open: '#5b8dd6',
  decompress: '#2f5fa8',
  waiting: '#d0d7de',
  write: '#d29922',
  together: '#2ea04f',
} as const
type Part = keyof typeof COLOURS

interface Row {
  readonly label: string
  readonly bytesPerSecond: number
  /** Seconds for a GiB, in the order in which they are drawn. */
  readonly parts: readonly (readonly [Part, number])[]
}

/** The text of an SVG file. */
export function renderBenchChart(report: BenchReport): string {
  const rows = rowsOf(report)
  const most = Math.max(...rows.map(({ parts }) => sum(parts)))
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH - 2 * MARGIN) / most
  const height = HEAD_HEIGHT + rows.length * ROW_HEIGHT + FOOT_HEIGHT
  const { image, threads, target, verdict } = report
  const to = target === undefined ? '' : `, to ${target.path}`
  const head = `${basename(image)}, ${threads} threads${to}: seconds for a GiB of data`
  const foot = HEAD_HEIGHT + rows.length * ROW_HEIGHT
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}"`,
    `viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text([MARGIN, 26], head, ' font-weight="bold"'),
    ...rows.flatMap((row, i) => bar(row, HEAD_HEIGHT + i * ROW_HEIGHT, scale)),
    ...legend(foot + 16),
    text([MARGIN, foot + 40], `limit: ${verdict.limit}`, ' font-weight="bold"'),
    '</svg>',
    '',
  ].join('\n')
}

function rowsOf({ stages, allThreads, together }: BenchReport): readonly Row[] {
  const one = (part: Part, bytesPerSecond: number): Row => ({
    label: part === 'together' ? 'all together' : part,
    bytesPerSecond,
    parts: [[part, GIB / bytesPerSecond]],
  })
  const { read, digest, open, decompress, write } = stages
  const busy: Row['parts'] = [
    ['digest', GIB / digest.bytesPerSecond],
    ['open', GIB / open.bytesPerSecond],
    ['decompress', GIB / decompress.bytesPerSecond],
  ]
  const { bytesPerSecond } = allThreads
  const waiting = Math.max(0, GIB / bytesPerSecond - sum(busy))
  const threads: Row = { label: 'threads', bytesPerSecond, parts: [...busy, ['waiting', waiting]] }
  return [
    one('read', read.bytesPerSecond),
    threads,
    ...(write === undefined ? [] : [one('write', write.bytesPerSecond)]),
    one('together', together.bytesPerSecond),
  ]
}

const sum = (parts: Row['parts']): number => parts.reduce((all, [, seconds]) => all + seconds, 0)

function bar(row: Row, y: number, scale: number): string[] {
  let x = MARGIN + LABEL_WIDTH
  const lines = [text([x - 8, y + 15], row.label, ' text-anchor="end"')]
  for (const [part, seconds] of row.parts) {
    const width = seconds * scale
    lines.push(
      `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" ` +
        `fill="${COLOURS[part]}"/>`,
    )
    x += width
  }
  const value = `${sum(row.parts).toPrecision(2)} s, ${rate(row.bytesPerSecond)}`
  return [...lines, text([x + 6, y + 15], value)]
}

/** The colours inside the bar of the threads; the others stand beside their label. */
function legend(y: number): string[] {
  const parts = ['digest', 'open', 'decompress', 'waiting'] as const
  return parts.flatMap((part, i) => {
    const x = MARGIN + LABEL_WIDTH + i * 110
    return [
      `<rect x="${x}" y="${y - 10}" width="12" height="12" fill="${COLOURS[part]}"/>`,
      text([x + 18, y], part),
    ]
  })
}

function text([x, y]: readonly [number, number], words: string, style = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y}"${style}>${escaped(words)}</text>`
}

const escaped = (words: string): string =>
  words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
