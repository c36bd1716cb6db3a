import { expect, test } from 'vitest'
import { renderBench } from '../../src/cli/bench-text.ts'
import { GIB, MIB } from '../../src/units.ts'
import { benchReport, unwrittenReport } from './bench-report.ts'

test('what was measured, what limits, what would help', () => {
  expect(renderBench(benchReport())).toMatchInlineSnapshot(`
    "images/debian & more.osimg: 3.00 GiB of data in 768 frames, packed 1.00 GiB (3.00:1)
    4 threads on 6 processors
    to /dev/sd<x> (device, direct)

    stage                           data
    read                      4.00 GiB/s  1.33 GiB/s packed
    digest                    32.0 GiB/s  8.00 GiB/s in a thread
    open                      16.0 GiB/s  4.00 GiB/s in a thread
    decompress                2.73 GiB/s  700 MiB/s in a thread
    the three in the threads  2.00 GiB/s
    write                     2.50 GiB/s
    all together              1.80 GiB/s

    limit: decompress; the whole image takes about 1.7 s
    all together reach 90 % of what it allows

    processors for 8 threads  2.25 GiB/s  +25 %, then write is the limit
    a source twice as fast       no gain
    a target twice as fast       no gain
    a link of 100 Mbit/s      35.8 MiB/s  the link is the limit
    a link of 1 Gbit/s         358 MiB/s  the link is the limit
    a link of 10 Gbit/s       1.80 GiB/s  fast enough (from 5.15 Gbit/s)
    "
  `)
})

test('a throttled target', () => {
  const text = renderBench(benchReport({ write: 200 * MIB, together: 190 * MIB }))
  expect(text).toContain('\nlimit: write; the whole image takes about 16.2 s\n')
  expect(text).toContain('\nall together reach 95 % of what it allows\n')
  expect(text).toMatch(/^a target twice as fast +380 MiB\/s {2}\+100 %, then write is the limit$/m)
  expect(text).toMatch(/^processors for 8 threads +no gain$/m)
})

test('processors that have no thread: more threads are to be had at once', () => {
  const text = renderBench({ ...benchReport(), processors: 8 })
  expect(text).toMatch(/^--workers 8 +2\.25 GiB\/s {2}\+25 %, then write is the limit$/m)
})

test('without a target: no row and no advice for it', () => {
  const text = renderBench(unwrittenReport())
  expect(text).not.toMatch(/write|target|^to /m)
  expect(text).toContain('\nlimit: decompress')
})

test('stages that are in each other’s way: the operator is told', () => {
  const text = renderBench(benchReport({ together: GIB }))
  expect(text).toContain('all together reach 50 % of what decompress alone allows: stages are in')
})

test('no line is wider than a terminal of 100 columns, and none ends in blanks', () => {
  for (const report of [benchReport(), benchReport({ together: GIB }), unwrittenReport()]) {
    const lines = renderBench(report).split('\n')
    expect(lines.filter((line) => line.length > 100)).toEqual([])
    expect(lines.filter((line) => line.endsWith(' '))).toEqual([])
  }
})
