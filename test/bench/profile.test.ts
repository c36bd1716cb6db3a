import { expect, test } from 'vitest'
import { perFrame, readTrace } from '../../bench/allocations.ts'
import { perGib, readCounts } from '../../bench/syscalls.ts'
import { run } from '../../src/system/run.ts'

const line = (thread: number, bytes: number): string =>
  `[598:0x7f7a48001000:${thread}]      720 ms: pause=0.6 gc=s allocated=${bytes} promoted=157 x=0`

test('thread 0 is the main one, all others are workers; other lines do not count', () => {
  const trace = [line(0, 1_000), line(1, 20), line(2, 30), '0.5 1.5', line(0, 500), ''].join('\n')
  expect(readTrace(trace, 7)).toEqual({ main: 1_500, workers: 50, collections: 4, pageFaults: 7 })
})

test('what a process allocates until it runs steadily is not counted', () => {
  const few = { main: 5_000, workers: 9_000, collections: 10, pageFaults: 1_000 }
  const many = { main: 6_000, workers: 9_500, collections: 20, pageFaults: 1_000 }
  expect(perFrame(few, many, 10)).toEqual({
    main: 100,
    workers: 50,
    collections: 1,
    pageFaults: 0,
  })
})

test('this Node writes the trace that is read here', async () => {
  const garbage = 'let kept; for (let n = 0; n < 1e6; n += 1) kept = [n, kept?.[0]]'
  const flags = ['--trace-gc-nvp', '--max-semi-space-size=1']
  const { stdout } = await run([process.execPath, ...flags, '-e', garbage])
  const { main, workers, collections } = readTrace(stdout, 0)
  expect(main).toBeGreaterThan(1e6)
  expect(workers).toBe(0)
  expect(collections).toBeGreaterThan(1)
})

test('the table of strace, with and without errors in a row', () => {
  const table = [
    '% time     seconds  usecs/call     calls    errors syscall',
    '------ ----------- ----------- --------- --------- ----------------',
    ' 53.36    1.609527         304      5285       291 futex',
    ' 10.33    0.311612        1193       261           pwrite64',
    '100.00    3.016212         227     13276       403 total',
  ].join('\n')
  expect(readCounts(table)).toEqual([
    { name: 'futex', calls: 5_285 },
    { name: 'pwrite64', calls: 261 },
  ])
})

test('calls are per GiB of data, the most frequent first', () => {
  const counts = [
    { name: 'a', calls: 10 },
    { name: 'b', calls: 40 },
  ]
  expect(perGib(counts, 2 ** 29)).toEqual([
    { name: 'b', calls: 80 },
    { name: 'a', calls: 20 },
  ])
})
