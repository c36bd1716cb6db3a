import { expect, test } from 'vitest'
import { diskEntries } from '../../bench/disk-entries.ts'
import type { Entry } from '../../bench/entry.ts'
import { packEntries } from '../../bench/pack-entries.ts'
import { planBench, runsOf } from '../../bench/plan.ts'
import { treeEntries } from '../../bench/tree-entries.ts'

const entry = (name: string, more: Partial<Entry> = {}): Entry => ({
  name,
  group: 'disk',
  kind: 'peer',
  title: name,
  needs: [],
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

test('rounds go through all entries in turn', () => {
  const order = runsOf([entry('a'), entry('b')], 2).map(({ round, entry }) => [round, entry.name])
  expect(order).toEqual([
    [1, 'a'],
    [1, 'b'],
    [2, 'a'],
    [2, 'b'],
  ])
})

const real = [...diskEntries, ...treeEntries, ...packEntries]

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
