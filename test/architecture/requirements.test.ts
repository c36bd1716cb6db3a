/** docs/requirements.md and docs/apply.md claim no more than there is. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { NEXT } from '../../src/flash/states.ts'

const root = join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')

const scenarios = readdirSync(join(root, 'test/e2e'))
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => file.replace(/\.test\.ts$/, ''))

/** Cells of the rows whose first cell matches. */
const rowsOf = (page: string, first: RegExp): string[][] =>
  page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map((cells) => cells.slice(1, -1))
    .filter(([cell = '']) => first.test(cell))

const named = (cell = ''): string[] =>
  [...cell.matchAll(/`([a-z-]+)`/g)].flatMap(([, name]) => name ?? [])

describe('docs/requirements.md', () => {
  const page = read('docs/requirements.md')
  const rows = rowsOf(page, /^R\d+$/)

  test('has R1 to R18, each once and in order', () => {
    expect(rows.map(([number]) => number)).toEqual(
      Array.from({ length: 18 }, (_, i) => `R${i + 1}`),
    )
  })

  test.each(rows)('%s is proved by scenarios that exist, or open', (_, _what, proof, open = '') => {
    const proofs = named(proof)
    expect(proofs.filter((name) => !scenarios.includes(name))).toEqual([])
    if (proofs.length === 0) expect(open).toMatch(/^\*\*open\*\*/)
  })

  test('lists every scenario; those that are not there are open', () => {
    const listed = rowsOf(page, /^`[a-z-]+`$/).map(([name, , open]) => ({
      name: named(name)[0] ?? '',
      isOpen: open === '**open**',
    }))
    const names = listed.map(({ name }) => name)
    expect(scenarios.filter((name) => !names.includes(name))).toEqual([])
    const claimed = listed.filter(({ isOpen }) => !isOpen).map(({ name }) => name)
    expect(claimed.filter((name) => !scenarios.includes(name))).toEqual([])
  })
})

test('docs/apply.md explains every state of the journal, once', () => {
  const table = read('docs/apply.md').split('## States')[1]?.split('\n## ')[0] ?? ''
  const explained = rowsOf(table, /^`[a-z-]+`$/).flatMap(([state]) => named(state))
  expect(explained.toSorted()).toEqual(Object.keys(NEXT).toSorted())
})
