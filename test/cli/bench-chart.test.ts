import { expect, test } from 'vitest'
import { renderBenchChart } from '../../src/cli/bench-chart.ts'
import { GIB, MIB } from '../../src/units.ts'
import type { BenchReport } from '../../src/unpack/bench/bench.ts'
import { benchReport, unwrittenReport } from './bench-report.ts'

interface Bar {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly fill: string
}

/** The bars, without the background and the squares of the legend. */
function barsOf(report: BenchReport): Bar[] {
  const found = renderBenchChart(report).matchAll(
    /<rect x="([\d.]+)" y="(\d+)" width="([\d.]+)" height="20" fill="(#[0-9a-f]+)"\/>/g,
  )
  return [...found].map(([, x, y, width, fill = '']) => ({
    x: Number(x),
    y: Number(y),
    width: Number(width),
    fill,
  }))
}

/** The width of all bars of a row, by the rows from top to bottom. */
function rowWidths(report: BenchReport): number[] {
  const rows = new Map<number, number>()
  for (const { y, width } of barsOf(report)) rows.set(y, (rows.get(y) ?? 0) + width)
  return [...rows.values()]
}

test('a bar is as long as a GiB takes: half the rate, twice the length', () => {
  // Together 1.8, read 4, threads 2, write 2.5 GiB a second.
  const [read = 0, threads = 0, write = 0, together = 0] = rowWidths(benchReport())
  expect(threads / read).toBeCloseTo(2, 1)
  expect(write / read).toBeCloseTo(1.6, 1)
  expect(together / read).toBeCloseTo(4 / 1.8, 1)
})

test('the bar of the threads holds their stages one after another, and what they wait', () => {
  const bars = barsOf(benchReport())
  const threads = bars.filter(({ y }) => y === bars[1]?.y)
  expect(threads).toHaveLength(4)
  for (const [i, bar] of threads.entries()) {
    const before = threads[i - 1]
    if (before !== undefined) expect(bar.x).toBeCloseTo(before.x + before.width, 0)
  }
  const [digest, open] = threads
  // 32 and 16 GiB a second over all threads.
  expect((open?.width ?? 0) / (digest?.width ?? 1)).toBeCloseTo(2, 0)
})

test('threads that never wait have no bar for it that is less than nothing', () => {
  const widths = barsOf(benchReport({ threads: 10 * GIB })).map(({ width }) => width)
  expect(Math.min(...widths)).toBe(0)
})

test('no row for a target that was not there', () => {
  expect(rowWidths(unwrittenReport())).toHaveLength(3)
  expect(renderBenchChart(unwrittenReport())).not.toContain('>write<')
})

test('the limit is named, and everything stays inside', () => {
  const report = benchReport({ write: 200 * MIB, together: 190 * MIB })
  const chart = renderBenchChart(report)
  expect(chart).toContain('>limit: write</text>')
  const [, width] = /<svg [^>]*width="(\d+)"/.exec(chart) ?? []
  expect(Math.max(...barsOf(report).map((bar) => bar.x + bar.width))).toBeLessThan(Number(width))
})

test('names of files are text, and folders are left out', () => {
  const chart = renderBenchChart(benchReport())
  expect(chart).toContain('>debian &amp; more.osimg, 4 threads, to /dev/sd&lt;x&gt;: seconds')
  expect(chart).not.toContain('images/')
})
