/**
 * Results as an SVG chart: a bar to the median, a line from the least to the most.
 *
 * 1. One scale for all groups, from zero.
 * 2. Colours by kind: ceilings grey, peers blue, osflash green. Readable in light and dark.
 */
import type { Entry } from './entry.ts'
import { machineText } from './machine.ts'
import type { BenchResults, EntryResult } from './results.ts'
import { GROUP_TITLES } from './table.ts'

const WIDTH = 900
const LABEL_WIDTH = 340
const VALUE_WIDTH = 70
const ROW_HEIGHT = 22
const BAR_HEIGHT = 14
const MARGIN = 12

const COLOURS: Readonly<Record<Entry['kind'], string>> = {
  ceiling: '#8b949e',
  peer: '#5b8dd6',
  osflash: '#2ea04f',
}

/** The chart of one run, as the text of an SVG file. */
export function renderChart(results: BenchResults): string {
  const most = Math.max(1, ...results.entries.map(({ rate }) => rate.max))
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH - 2 * MARGIN) / most
  const rows = rowsOf(results)
  const height = rows.length * ROW_HEIGHT + 2 * MARGIN
  const body = rows.map((row, i) => {
    const y = MARGIN + i * ROW_HEIGHT
    return typeof row === 'string' ? heading(row, y) : bar(row, y, scale)
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}"`,
    `viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n')
}

/** Headings and entries from top to bottom. */
function rowsOf({ rounds, cores, entries, machine, date }: BenchResults) {
  const rows: (string | EntryResult)[] = [
    machineText(machine),
    `MB/s, median and spread of ${rounds} rounds, ${date}`,
  ]
  for (const count of cores) {
    const own = entries.filter((entry) => entry.cores === count)
    for (const group of new Set(own.map((entry) => entry.group))) {
      rows.push(`${GROUP_TITLES[group]}, ${count} cores`)
      rows.push(...own.filter((entry) => entry.group === group))
    }
  }
  return rows
}

function heading(text: string, y: number): string {
  const place = `x="${MARGIN}" y="${y + BAR_HEIGHT}"`
  return `<text ${place} font-weight="bold">\n${escaped(text)}</text>`
}

function bar({ title, kind, rate }: EntryResult, y: number, scale: number): string {
  const x0 = LABEL_WIDTH + MARGIN
  const at = (value: number): string => (x0 + value * scale).toFixed(1)
  const middle = y + BAR_HEIGHT / 2 + 3
  return [
    `<text x="${x0 - 8}" y="${y + BAR_HEIGHT}" text-anchor="end">${escaped(title)}</text>`,
    `<rect x="${x0}" y="${y + 3}" width="${(rate.median * scale).toFixed(1)}"` +
      ` height="${BAR_HEIGHT}" fill="${COLOURS[kind]}"/>`,
    `<line x1="${at(rate.min)}" x2="${at(rate.max)}" y1="${middle}" y2="${middle}"` +
      ' stroke="#24292f" stroke-width="2"/>',
    `<text x="${(x0 + rate.max * scale + 6).toFixed(1)}" y="${y + BAR_HEIGHT}">` +
      `${Math.floor(rate.median)}</text>`,
  ].join('\n')
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
