import { expect, test } from 'vitest'
import { codecEntries } from '../../bench/codec-entries.ts'
import { diskEntries } from '../../bench/disk-entries.ts'
import type { Entry } from '../../bench/entry.ts'
import { memoryEntries } from '../../bench/memory-entries.ts'
import { packEntries } from '../../bench/pack-entries.ts'
import { planBench, runsOf } from '../../bench/plan.ts'
import { frameFiles, scalingEntries, workerCounts } from '../../bench/scaling-entries.ts'
import { treeEntries } from '../../bench/tree-entries.ts'

const entry = (name: string, more: Partial<Entry> = {}): Entry => ({
  name,
  group: 'disk',
  kind: 'peer',
  title: name,
  needs: [],
  reads: '',
  run: 'true',
  ...more,
})

const entries = [
  entry('a', { needs: ['gpg', 'zstd'] }),
  entry('b'),
  entry('c', { group: 'tree', needs: ['sq'] }),
]
const programs = new Set(['gpg', 'zstd'])
const names = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name)

test('what has its programs runs; what has not is left out with their names', () => {
  const plan = planBench({ entries, only: [], programs })
  expect(names(plan.entries)).toEqual(['a', 'b'])
  expect(plan.skipped).toEqual([{ name: 'c', why: 'no sq' }])
})

test('--only takes names of entries and of groups', () => {
  const all = new Set([...programs, 'sq'])
  expect(names(planBench({ entries, only: ['b'], programs: all }).entries)).toEqual(['b'])
  expect(names(planBench({ entries, only: ['tree', 'a'], programs: all }).entries)).toEqual([
    'a',
    'c',
  ])
})

test('what was not asked for is not reported as left out', () => {
  expect(planBench({ entries, only: ['b'], programs }).skipped).toEqual([])
})

test('an unknown name is refused, and the names that exist are given', () => {
  expect(() => planBench({ entries, only: ['b', 'x'], programs })).toThrow(
    expect.objectContaining({
      code: 'usage',
      message: 'reading --only: no entry x',
      hints: ['the entries are a, b, c'],
    }),
  )
})

test('with --large what is no main entry is left out, unless asked for', () => {
  const mixed = [entry('a', { main: true }), entry('b')]
  const large = { entries: mixed, mainOnly: true, programs }
  expect(names(planBench({ ...large, only: [] }).entries)).toEqual(['a'])
  expect(names(planBench({ ...large, only: ['b'] }).entries)).toEqual(['b'])
})

test('rounds go through all entries in turn, on few processors and on many', () => {
  const entries = [
    entry('a'),
    entry('b'),
    entry('once', { once: true }),
    entry('widest', { widest: true }),
  ]
  const runs = runsOf(entries, { rounds: 2, cores: [2, 4] })
  expect(runs.map(({ round, cores, entry }) => `${round} ${cores} ${entry.name}`)).toEqual([
    ...['1 2 a', '1 2 b', '1 2 once'],
    ...['1 4 a', '1 4 b', '1 4 once', '1 4 widest'],
    ...['2 2 a', '2 2 b'],
    ...['2 4 a', '2 4 b', '2 4 widest'],
  ])
})

test('workers double up to the number of processors, which is always among them', () => {
  expect(workerCounts(1)).toEqual([1])
  expect(workerCounts(4)).toEqual([1, 2, 4])
  expect(workerCounts(6)).toEqual([1, 2, 4, 6])
})

test('the frames lie in so many files that every number of processes gets the same', () => {
  expect(frameFiles([2, 1, 2, 4])).toBe(4)
  expect(frameFiles([2, 6, 1, 2, 4, 6])).toBe(12)
})

const real = [
  ...diskEntries,
  ...scalingEntries(4),
  ...treeEntries,
  ...packEntries,
  ...codecEntries,
  ...memoryEntries,
]

test('every name is used once', () => {
  expect(new Set(names(real)).size).toBe(real.length)
})

test('a file that several entries read is made in one way', () => {
  const ways = new Map<string, Set<string>>()
  for (const { file, command } of real.flatMap(({ inputs = [] }) => inputs)) {
    ways.set(file, (ways.get(file) ?? new Set()).add(command))
  }
  expect([...ways.values()].map(({ size }) => size)).toEqual([...ways].map(() => 1))
})

test('whatever writes a target is compared with the source', () => {
  const writers = real.filter(({ run, kind }) => kind !== 'ceiling' && /\bout\./.test(run))
  expect(writers.length).toBeGreaterThan(10)
  expect(names(writers.filter(({ check }) => check === undefined))).toEqual([])
})
