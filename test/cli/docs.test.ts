/** What is written about the command line is what the program does. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { cliPage } from '../../scripts/cli-page.ts'
import { verbs } from '../../src/cli/verbs.ts'
import { type ErrorCode, exitStatus, OsflashError } from '../../src/errors.ts'
import { play } from './play.ts'

const root = join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')
const names = verbs.map(({ name }) => name)

test('docs/cli.md is what the program prints (npm run docs renews it)', async () => {
  expect(read('docs/cli.md')).toBe(await cliPage())
})

test('the page has every verb with its help', async () => {
  const page = read('docs/cli.md')
  for (const name of names) {
    const { stdout } = await play([name, '--help'])
    expect(page).toContain(`## osflash ${name}\n\n\`\`\`text\n${stdout.trimEnd()}\n\`\`\`\n`)
  }
})

test("the README's table has exactly the verbs of the program", () => {
  const [, table = ''] = read('README.md').split('| verb | does |\n')
  const rows = table.split('\n\n')[0]?.matchAll(/^\| `([a-z]+)[^`]*` \|/gm) ?? []
  expect([...rows].map(([, name]) => name)).toEqual(names)
})

test('the help names the status of every kind of error', async () => {
  const { stdout } = await play(['--help'])
  const statuses: Readonly<Record<number, readonly ErrorCode[]>> = {
    1: ['unexpected'],
    2: ['usage', 'recipe'],
    3: ['refused', 'missing-tool'],
    4: ['signature', 'decryption', 'trust'],
    5: ['network'],
    6: ['io', 'process', 'limit', 'format', 'digest'],
    7: ['readback'],
    130: ['cancelled'],
  }
  const listed = [...stdout.matchAll(/^ {2}(\d+) +\S/gm)].map(([, status]) => Number(status))
  expect(listed).toEqual([0, ...Object.keys(statuses).map(Number)])
  for (const [status, codes] of Object.entries(statuses)) {
    for (const code of codes) {
      expect(exitStatus(new OsflashError(code, 'x'))).toBe(Number(status))
    }
  }
})

test.each(names)(
  'the help of %s fits 100 columns, and has an example that is its own',
  async (name) => {
    const { stdout, stderr, status } = await play([name, '--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([])
    expect(stdout).toMatch(new RegExp(`^Examples:\\n(.*\\n)*? {2}(.* )?osflash ${name}( |$)`, 'm'))
  },
)

test('every option of an example is an option of its verb', async () => {
  for (const name of names) {
    const { stdout } = await play([name, '--help'])
    const [options = '', examples = ''] = stdout.split('Examples:\n')
    const [lines = ''] = examples.split('\n\n')
    for (const [option] of lines.matchAll(/(?<= )--[a-z-]+/g)) {
      expect(`${options} --json`, `${name} ${option}`).toContain(option)
    }
  }
})
