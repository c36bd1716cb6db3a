import { expect, test } from 'vitest'
import type { RunStats } from '../../src/cli/run-stats.ts'
import { renderStats, table } from '../../src/cli/stats-text.ts'
import { GIB, MIB } from '../../src/units.ts'

const stats: RunStats = {
  startSeconds: 0.25,
  phases: { opening: 0.02, writing: 0.5, flushing: 0.1, finishing: 0.01 },
  stages: {
    threads: 4,
    digest: 0.12,
    open: 0.3,
    decompress: 1.4,
    compare: 0,
    entries: 0,
    read: 0.3,
    sink: 2,
  },
  split: {
    seconds: 0.6,
    bytesPerSecond: GIB / 0.6,
    busy: 0.758,
    mainBusy: 0.2,
    waitingSeconds: 0.58,
    limit: 'decompress',
  },
  peakBytes: 200 * MIB,
}

test('phases one after another, then stages side by side, then the limit', () => {
  expect(renderStats(stats, GIB)).toMatchInlineSnapshot(`
    "start      0.25 s
    opening    0.02 s
    writing    0.50 s
    flushing   0.10 s
    finishing  0.01 s

    stage         seconds  at a time  rate of one
    read           0.30 s        0.5  3.33 GiB/s
    digest         0.12 s        0.2  8.33 GiB/s
    open           0.30 s        0.5  3.33 GiB/s
    decompress     1.40 s        2.3  731 MiB/s
    threads wait   0.58 s        1.0  of 4 threads
    write          2.00 s        3.3  512 MiB/s

    limit: decompress (busy: threads 76 %, main thread 20 %)
    peak memory: 200 MiB
    "
  `)
})

test('comparing has a row when something was compared', () => {
  const { stages } = stats
  expect(renderStats(stats, GIB)).not.toContain('compare')
  const compared = { ...stats, stages: { ...stages, compare: 0.5 } }
  expect(renderStats(compared, GIB)).toMatch(/^compare +0\.50 s +0\.8 +2\.00 GiB\/s$/m)
})

test('a run without frames has no rates, and no division by nothing', () => {
  const { split, stages } = stats
  const nothing = { ...stages, digest: 0, open: 0, decompress: 0, read: 0, sink: 0 }
  const empty = { ...stats, stages: nothing, split: { ...split, seconds: 0 } }
  expect(renderStats(empty, 0)).not.toMatch(/NaN|Infinity|GiB\/s/)
})

test('columns: the first and the last of a row to the left, the others to the right', () => {
  expect(table([['a', '1', 'x'], ['long name', '1000', 'yy'], ['b']])).toEqual([
    'a             1  x',
    'long name  1000  yy',
    'b',
  ])
})
