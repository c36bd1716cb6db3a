import { expect, test } from 'vitest'
import { plainProgress } from '../../src/cli/progress.ts'
import { runProgram } from '../../src/cli/run-program.ts'
import type { Verb, VerbContext } from '../../src/cli/verb.ts'
import { cancelled, OsflashError } from '../../src/errors.ts'
import { makeScreen } from './screen.ts'

type Action = (context: VerbContext, image: string) => Promise<void>

function makeVerb(name: string, action: Action): Verb {
  return {
    name,
    register: (program, context) => {
      program
        .command(`${name} <image>`)
        .description(`tests ${name}`)
        .requiredOption('--to <target>', 'where to')
        .action((image: string) => action(context, image))
    },
  }
}

async function play(argv: readonly string[], action: Action = async () => undefined) {
  const stdout = makeScreen()
  const stderr = makeScreen()
  const stop = new AbortController()
  const status = await runProgram({
    argv,
    env: {},
    stdout,
    stderr,
    signal: stop.signal,
    verbs: [makeVerb('unpack', action), makeVerb('verify', action)],
    makeReader: () => plainProgress(stderr, () => 0),
  })
  return { status, stdout: stdout.text(), stderr: stderr.text() }
}

test('a verb that returns ends with status 0 and its result', async () => {
  const ended = await play(['unpack', 'a.osimg', '--to', 'x'], async (context, image) => {
    context.emit({ event: 'note', text: 'working' })
    context.stdout.write(`unpacked ${image}\n`)
  })
  expect(ended).toEqual({ status: 0, stdout: 'unpacked a.osimg\n', stderr: 'working\n' })
})

test.each([
  [new OsflashError('signature', 'checking the signature: not by a trusted key'), 4],
  [new OsflashError('readback', 'reading back frame 3: differs'), 7],
  [cancelled(), 130],
  [new Error('a fault'), 1],
])('a verb that throws %o ends with status %i', async (error, status) => {
  const ended = await play(['unpack', 'a', '--to', 'x'], async () => {
    throw error
  })
  expect(ended.status).toBe(status)
  expect(ended.stdout).toBe('')
  expect(ended.stderr).toContain(`osflash: error: ${error.message}\n`)
})

test.each([
  [[], 'no verb given'],
  [['unpak', 'a'], "unknown verb 'unpak'\nhint: did you mean unpack?"],
  [['unpack', '--to', 'x'], "missing required argument 'image'"],
  [['unpack', 'a'], "required option '--to <target>' not specified"],
  [['unpack', 'a', 'b', '--to', 'x'], 'too many arguments'],
  [['unpack', 'a', '--to', 'x', '--frob'], "unknown option '--frob'"],
])('usage error: %j', async (argv, message) => {
  const ended = await play(argv)
  expect(ended.status).toBe(2)
  expect(ended.stdout).toBe('')
  expect(ended.stderr).toContain(`osflash: error: ${message}`)
  expect(ended.stderr).toMatch(/hint: osflash (unpack )?--help\n$/)
})

test.each([[['--json', 'unpack', 'a']], [['unpack', '--json', 'a']]])(
  'a usage error is JSON as well: %j',
  async (argv) => {
    const ended = await play(argv)
    expect(JSON.parse(ended.stderr)).toMatchObject({ event: 'error', code: 'usage', status: 2 })
  },
)

test.each([
  [['--json', 'unpack', 'a', '--to', 'x'], true],
  [['unpack', 'a', '--to', 'x', '--json'], true],
  [['unpack', '--to', 'x', '--', '--json'], false],
  [['unpack', 'a', '--to', 'x'], false],
])('the verb knows --json wherever it stands: %j', async (argv, json) => {
  let seen: boolean | undefined
  const ended = await play(argv, async (context) => {
    seen = context.json
  })
  expect(ended.stderr).toBe('')
  expect(seen).toBe(json)
})

test('help of the program lists the verbs, statuses and examples', async () => {
  const { status, stdout, stderr } = await play(['--help'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toContain('unpack [options] <image>')
  expect(stdout).toContain('Exit status:\n  0    done\n')
  expect(stdout).toContain('Examples:\n  osflash keygen')
})

test('help of a verb lists its options', async () => {
  const { status, stdout } = await play(['unpack', '--help'])
  expect(status).toBe(0)
  expect(stdout).toContain('--to <target>')
})

test('the version is that of the package', async () => {
  expect(await play(['--version'])).toMatchObject({ status: 0, stdout: '0.1.0\n' })
})

test('a usage error of a verb leads to the help of that verb', async () => {
  expect((await play(['unpack', 'a'])).stderr).toMatch(/\nhint: osflash unpack --help\n$/)
  expect((await play(['--json', 'verify'])).stderr).toContain('"osflash verify --help"')
  expect((await play(['unpak', 'a'])).stderr).toMatch(/\nhint: osflash --help\n$/)
})
