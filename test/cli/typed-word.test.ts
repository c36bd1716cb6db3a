/** Asking on a real terminal; the program must end by itself afterwards, as `osflash` does. */

import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { hasScript, onTerminal } from './terminal.ts'

const SOURCES = join(import.meta.dirname, '../../src/cli')

const PROGRAM = `
import { askTyped } from ${JSON.stringify(join(SOURCES, 'typed-word.ts'))}
import { stopSignal } from ${JSON.stringify(join(SOURCES, 'signals.ts'))}
const question = 'lost (' + process.pid + '), type disk-1: '
const outcome = await askTyped({ question, word: 'disk-1', signal: stopSignal() }).then(
  () => ({ typed: true }),
  (error) => ({ code: error.code, hints: error.hints }),
)
console.log('<' + JSON.stringify(outcome) + '>')
process.exit(0)`

const asked = (redirect = '') =>
  onTerminal({ program: PROGRAM, asks: /lost \((\d+)\), type disk-1: /, redirect })
const CANCELLED = { code: 'cancelled', hints: [] }

test.runIf(hasScript).each([
  ['the word goes on', 'disk-1\n', { typed: true }],
  ['spaces around the word do not matter', ' disk-1 \n', { typed: true }],
  ['a character may be taken back', 'disk-2\u007f1\n', { typed: true }],
  ['another word cancels', 'disk-2\n', CANCELLED],
  ['an empty line cancels', '\n', CANCELLED],
  ['Ctrl-C cancels', 'dis\u0003', CANCELLED],
  ['Ctrl-D cancels', '\u0004', CANCELLED],
])('%s, and the program ends', async (_, keys, expected) => {
  const { type, ended } = await asked()
  type(keys)
  expect((await ended()).outcome).toEqual(expected)
})

test.runIf(hasScript)('the question stands on the terminal whatever the streams are', async () => {
  const { type, ended } = await asked('2>/dev/null </dev/null')
  type('disk-1\n')
  expect((await ended()).outcome).toEqual({ typed: true })
})

test.runIf(hasScript)('a signal cancels, and the program ends', async () => {
  const { pid, ended } = await asked()
  process.kill(pid, 'SIGTERM')
  expect((await ended()).outcome).toEqual(CANCELLED)
})

test('without a terminal it is a usage error that names the option', async () => {
  // A session of its own has no terminal.
  const argv = ['--input-type=module', '-e', PROGRAM]
  const { stdout } = await execa(process.execPath, argv, { detached: true, stdin: 'ignore' })
  expect(JSON.parse(/<(.*)>/.exec(stdout)?.[1] ?? 'null')).toEqual({
    code: 'usage',
    hints: ['--yes, once the plan was read: osflash plan'],
  })
})
