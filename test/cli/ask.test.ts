/** Asking on a real terminal, which script(1) makes. */

import { join } from 'node:path'
import { execa } from 'execa'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TypedLine } from '../../src/cli/ask.ts'
import { hasScript, onTerminal as startOnTerminal } from './terminal.ts'

const module = join(import.meta.dirname, '../../src/cli/ask.ts')

/** Asks once and prints the outcome as JSON; standard output and error are files of their own. */
const PROGRAM = `
import { askSecret } from ${JSON.stringify(module)}
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
const tell = (outcome) => console.log('<' + JSON.stringify(outcome) + '>')
await askSecret('passphrase (' + process.pid + '): ', stop.signal).then(
  (answer) => tell({ answer }),
  (error) => tell({ code: error.code, hints: error.hints }),
)`

const onTerminal = (redirect = '') =>
  startOnTerminal({ program: PROGRAM, asks: /passphrase \((\d+)\)/, redirect })

test.runIf(hasScript)('what is typed is the answer, and is not shown', async () => {
  const { type, ended } = await onTerminal()
  type('sec')
  type('ret\r')
  const { shown, outcome } = await ended()
  expect(outcome).toEqual({ answer: 'secret' })
  expect(shown.split('<')[0]).not.toContain('sec')
})

test.runIf(hasScript)(
  'the question stands on the terminal also when errors go to a log',
  async () => {
    const { type, ended } = await onTerminal('2>/dev/null </dev/null')
    type('x\r')
    expect((await ended()).outcome).toEqual({ answer: 'x' })
  },
)

test.runIf(hasScript)('backspace and Ctrl-U take characters back', async () => {
  const { type, ended } = await onTerminal()
  type('wrong\u0015horze\u007f\u007fse\r')
  expect((await ended()).outcome).toEqual({ answer: 'horse' })
})

test.runIf(hasScript).each([
  ['Ctrl-C', '\u0003'],
  ['Ctrl-D', '\u0004'],
])('%s cancels', async (_, key) => {
  const { type, ended } = await onTerminal()
  type(`half${key}`)
  expect((await ended()).outcome).toEqual({ code: 'cancelled', hints: [] })
})

test.runIf(hasScript)('a signal cancels', async () => {
  const { pid, ended } = await onTerminal()
  process.kill(pid, 'SIGTERM')
  expect((await ended()).outcome).toEqual({ code: 'cancelled', hints: [] })
})

test('without a terminal it is a usage error that names the option', async () => {
  // A session of its own has no terminal.
  const argv = ['--input-type=module', '-e', PROGRAM]
  const { stdout } = await execa(process.execPath, argv, { detached: true, stdin: 'ignore' })
  expect(JSON.parse(/<(.*)>/.exec(stdout)?.[1] ?? 'null')).toEqual({
    code: 'usage',
    hints: ['--passphrase-file FILE'],
  })
})

test('a line is the same however it is cut into pieces', () => {
  const plain = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'ß', '漢', '\u007f') })
  fc.assert(
    fc.property(plain, fc.nat(40), (keys, at) => {
      const [whole, cut] = [new TypedLine(), new TypedLine()]
      whole.take(keys)
      cut.take(keys.slice(0, at))
      cut.take(keys.slice(at))
      expect(cut.text).toBe(whole.text)
    }),
  )
})

test('a character is taken back whole, and none before the first', () => {
  const line = new TypedLine()
  expect(line.take('\b\u007fa😀\b')).toBe('open')
  expect(line.text).toBe('a')
  expect(line.take('b\nrest')).toBe('ended')
  expect(line.text).toBe('ab')
})
