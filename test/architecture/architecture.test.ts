import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as rules from './rules.ts'
import { readSources } from './sources.ts'

const root = join(import.meta.dirname, '../..')
const sources = readSources(root)

test('the sources are found', () => {
  expect(sources.map(({ path }) => path)).toContain('src/errors.ts')
})

test.each(Object.entries(rules))('%s', (_, rule) => {
  expect(rule(sources)).toEqual([])
})

test('the lock file holds no download addresses', () => {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8')
  expect(lock).not.toMatch(/"resolved": "https?:/)
})
