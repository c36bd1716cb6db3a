/** Each rule finds its breach in a small tree, and none in a tree that holds it. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as rules from './rules.ts'
import { readSources } from './sources.ts'

const ruleOf = new Map<string, rules.Rule>(Object.entries(rules))
const HEADER = '/**\n * What.\n * How.\n */\n'
const many = (count: number, line: string): string => `${line}\n`.repeat(count)

let root = ''
let trees = 0

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'osflash-rules-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function readTree(files: Readonly<Record<string, string>>) {
  trees += 1
  const tree = join(root, String(trees))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(tree, dirname(path)), { recursive: true })
    await writeFile(join(tree, path), text)
  }
  return readSources(tree)
}

interface Case {
  readonly rule: keyof typeof rules
  readonly files: Readonly<Record<string, string>>
  readonly breach: string
}

const cases: readonly Case[] = [
  {
    rule: 'importTable',
    files: { 'src/unpack/a.ts': "import '../pack/b.ts'", 'src/pack/b.ts': '' },
    breach: 'src/unpack/a.ts: unpack may not import src/pack/b.ts',
  },
  {
    rule: 'importTable',
    files: { 'src/format/a.ts': "import type { B } from '../system/b.ts'" },
    breach: 'src/format/a.ts: format may not import src/system/b.ts',
  },
  {
    rule: 'importTable',
    files: { 'src/deliver/a.ts': "export { b } from '../encrypt/b.ts'" },
    breach: 'src/deliver/a.ts: deliver may not import src/encrypt/b.ts',
  },
  {
    rule: 'importTable',
    files: { 'src/flash/a.ts': "export const b = await import('../pack/b.ts')" },
    breach: 'src/flash/a.ts: flash may not import src/pack/b.ts',
  },
  {
    rule: 'importTable',
    files: { 'src/errors.ts': "import './units.ts'" },
    breach: 'src/errors.ts: errors may not import src/units.ts',
  },
  {
    rule: 'importTable',
    files: { 'src/cli/a.ts': "import '../../test/b.ts'" },
    breach: 'src/cli/a.ts: cli may not import test/b.ts',
  },
  {
    rule: 'importTable',
    files: { 'src/extra/a.ts': '' },
    breach: 'src/extra/a.ts: extra is not in the import table',
  },
  {
    rule: 'noCycles',
    files: {
      'src/format/a.ts': "import './b.ts'",
      'src/format/b.ts': "import type { C } from './c.ts'",
      'src/format/c.ts': "import './b.ts'",
    },
    breach: 'src/format/b.ts -> src/format/c.ts -> src/format/b.ts',
  },
  {
    rule: 'fileLength',
    files: { 'src/cli/a.ts': many(351, '//') },
    breach: 'src/cli/a.ts: 351 lines, at most 350',
  },
  {
    rule: 'lineWidth',
    files: { 'test/a.test.ts': `\n// ${'x'.repeat(98)}\n` },
    breach: 'test/a.test.ts:2: 101 columns, at most 100',
  },
  {
    rule: 'functionLength',
    files: { 'src/cli/a.ts': `\nexport function a() {\n${many(59, '//')}}\n` },
    breach: 'src/cli/a.ts:2: function of 61 lines, at most 60',
  },
  {
    rule: 'functionLength',
    files: { 'scripts/a.ts': `export const a = () => {\n${many(59, '//')}}\n` },
    breach: 'scripts/a.ts:1: function of 61 lines, at most 60',
  },
  {
    rule: 'parameterCount',
    files: { 'src/cli/a.ts': 'class A { a(b: 1, c: 2, d: 3, ...e: 4[]) {} }' },
    breach: 'src/cli/a.ts:1: 4 parameters, at most 3',
  },
  {
    rule: 'moduleHeader',
    files: { 'src/cli/a.ts': '// What.\n' },
    breach: 'src/cli/a.ts:1: header comment of 0 lines, wanted 4 to 40 lines',
  },
  {
    rule: 'moduleHeader',
    files: { 'src/cli/a.ts': `/**\n${many(40, ' *')} */\n` },
    breach: 'src/cli/a.ts:1: header comment of 42 lines, wanted 4 to 40 lines',
  },
  {
    rule: 'edgesInCli',
    files: { 'src/system/a.ts': "\nconsole.log('x')" },
    breach: 'src/system/a.ts:2: console outside src/cli',
  },
  {
    rule: 'edgesInCli',
    files: { 'src/format/a.ts': 'process.exit(1)' },
    breach: 'src/format/a.ts:1: process.exit outside src/cli',
  },
  {
    rule: 'edgesInCli',
    files: { 'src/pack/a.ts': 'const { env } = process' },
    breach: 'src/pack/a.ts:1: process outside src/cli',
  },
  {
    rule: 'edgesInCli',
    files: { 'src/pack/a.ts': "import { argv } from 'node:process'" },
    breach: 'src/pack/a.ts: import of node:process outside src/cli',
  },
  {
    rule: 'singleImporters',
    files: { 'src/cli/a.ts': "import 'listr2'" },
    breach: 'src/cli/a.ts: may not import listr2',
  },
  {
    rule: 'singleImporters',
    files: { 'src/system/run.ts': "import { spawn } from 'node:child_process'" },
    breach: 'src/system/run.ts: may not import node:child_process',
  },
  {
    rule: 'pureFormat',
    files: { 'src/format/a.ts': "import { open } from 'node:fs/promises'" },
    breach: 'src/format/a.ts: impure: node:fs/promises',
  },
  {
    rule: 'fileNames',
    files: { 'src/pack/utils.ts': '' },
    breach: 'src/pack/utils.ts: the name says nothing',
  },
  {
    rule: 'testLines',
    files: { 'src/cli/a.ts': '//\n//\n', 'test/a.test.ts': '//\n' },
    breach: '1 lines of test for 2 lines of code',
  },
]

test.each(cases)('$rule finds: $breach', async ({ rule, files, breach }) => {
  expect(ruleOf.get(rule)?.(await readTree(files))).toEqual([breach])
})

test('every rule has a case that breaks it', () => {
  expect(new Set(cases.map(({ rule }) => rule))).toEqual(new Set(Object.keys(rules)))
})

test.each(Object.entries(rules))('%s passes a tree that keeps it', async (_, rule) => {
  const files = await readTree({
    'src/errors.ts': HEADER,
    'src/format/index-table.ts': `${HEADER}import type { E } from '../errors.ts'\n`,
    'src/cli/live.ts': `${HEADER}import 'listr2'\nimport '../format/index-table.ts'\n`,
    'src/cli/main.ts': `${HEADER}console.log(process.argv)\n`,
    'src/system/run.ts': `${HEADER}import 'execa'\nprocess.kill(1, 0)\n`,
    'test/a.test.ts': many(100, '//'),
  })
  expect(rule(files)).toEqual([])
})

test('a source that cannot be parsed is an error, not a file without breaches', async () => {
  await expect(readTree({ 'src/cli/a.ts': 'const = 1' })).rejects.toThrow('src/cli/a.ts')
})
