import { readFileSync } from 'node:fs'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { OsflashError } from '../../src/errors.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('run-test')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

async function failureOf(work: Promise<unknown>): Promise<OsflashError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof OsflashError) return error
  throw new Error(`expected an OsflashError, got ${String(error)}`, { cause: error })
}

test('returns what was printed, as it is', async () => {
  const result = await run(['sh', '-c', 'echo out; echo err >&2'])
  expect(result).toEqual({ status: 0, stdout: 'out\n', stderrTail: 'err\n' })
})

test('passes arguments without a shell', async () => {
  const { stdout } = await run(['printf', '%s|', '$HOME', 'a b', '`id`', ';'])
  expect(stdout).toBe('$HOME|a b|`id`|;|')
})

test('standard input is empty unless given', async () => {
  expect((await run(['cat'])).stdout).toBe('')
  expect((await run(['cat'], { stdin: Buffer.from('bytes') })).stdout).toBe('bytes')
  expect((await run(['cat'], { stdin: Readable.from(['a', 'b']) })).stdout).toBe('ab')
})

test('reads from and writes to file descriptors, also above 9', async () => {
  const folder = await scratchFolder()
  await writeFile(join(folder, 'in'), 'content')
  const files = await Promise.all(
    Array.from({ length: 12 }, (_, index) => open(join(folder, `out-${index}`), 'w')),
  )
  const input = await open(join(folder, 'in'))
  const output = files.at(-1)
  if (output === undefined) throw new Error('no file')
  const result = await run(['cat'], { stdin: input.fd, stdout: output.fd })
  expect(output.fd).toBeGreaterThan(9)
  expect(result.stdout).toBe('')
  await output.write('!')
  await Promise.all([input, ...files].map((file) => file.close()))
  expect(await readFile(join(folder, 'out-11'), 'utf8')).toBe('content!')
})

test('writes into a stream, byte for byte', async () => {
  const stdout = new PassThrough()
  const chunks: Buffer[] = []
  stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  await run(['printf', '\\377\\000x'], { stdout })
  expect(Buffer.concat(chunks)).toEqual(Buffer.from([255, 0, 120]))
})

test('a stream that breaks is an error, whatever the status', async () => {
  const stdout = new Writable({
    write: (_chunk, _encoding, done) => done(new Error('no space left')),
  })
  const error = await failureOf(run(['echo', 'x'], { stdout }))
  expect(error.message).toBe('running echo: no space left')
  const stdin = new Readable({
    read() {
      this.destroy(new Error('source is gone'))
    },
  })
  expect((await failureOf(run(['cat'], { stdin }))).message).toContain('source is gone')
})

test('a program that does not read all of its input is asked for its status alone', async () => {
  const stdin = Buffer.alloc(4 * 1024 * 1024, 'x')
  expect((await run(['head', '-c', '3'], { stdin })).stdout).toBe('xxx')
  expect((await run(['true'], { stdin: Readable.from([stdin, stdin]) })).status).toBe(0)
  expect((await failureOf(run(['false'], { stdin }))).message).toBe('running false: exit status 1')
})

test('text is whole where a character lies across two pieces', async () => {
  const script = "printf '\\303'; sleep 0.05; printf '\\244'"
  expect((await run(['sh', '-c', script])).stdout).toBe('ä')
})

test('arguments that are too long are an error', async () => {
  const error = await failureOf(run(['true', 'x'.repeat(3_000_000)]))
  expect(error.code).toBe('process')
  expect(error.message).toMatch(/^running true: .*E2BIG/)
})

test('waits for what a program left behind that still prints', async () => {
  const { stdout } = await run(['sh', '-c', '(sleep 0.1; echo late) & echo early'])
  expect(stdout).toBe('early\nlate\n')
})

test('messages are in the locale C, cwd and env are those given', async () => {
  const folder = await scratchFolder()
  const script = 'echo "$LC_ALL $COLOUR"; pwd -P'
  const { stdout } = await run(['sh', '-c', script], { cwd: folder, env: { COLOUR: 'red' } })
  expect(stdout).toBe(`C.UTF-8 red\n${folder}\n`)
})

test('a status that is not expected is an error with the end of standard error', async () => {
  const script = 'seq 1 5000 >&2; echo "no space left" >&2; exit 7'
  const error = await failureOf(run(['sh', '-c', script]))
  expect(error.code).toBe('process')
  expect(error.message).toBe('running sh: exit status 7: no space left')
  expect(error.data).toMatchObject({ program: 'sh', status: 7, signal: null })
  expect(String(error.data.stderr)).toHaveLength(4096)
})

test('a status that is expected is none', async () => {
  expect((await run(['sh', '-c', 'exit 7'], { statuses: [0, 7] })).status).toBe(7)
})

test('standard error is told as it comes', async () => {
  const pieces: string[] = []
  await run(['sh', '-c', 'echo one >&2; echo two >&2'], { onStderr: (text) => pieces.push(text) })
  expect(pieces.join('')).toBe('one\ntwo\n')
})

test('a child ended by a signal is an error that names it', async () => {
  const error = await failureOf(run(['sh', '-c', 'kill -SEGV $$']))
  expect(error.message).toBe('running sh: ended by SIGSEGV')
})

test.each([
  ['mkfs.osflash-none', 'apt-get install mkfs.osflash-none'],
  ['/no/such/folder/mke2fs', 'apt-get install e2fsprogs'],
])('a missing tool names its package: %s', async (program, hint) => {
  const error = await failureOf(run([program]))
  expect(error.code).toBe('missing-tool')
  expect(error.message).toBe(`running ${program}: no such program`)
  expect(error.hints).toEqual([hint])
})

test('a missing working folder is not a missing tool', async () => {
  const error = await failureOf(run(['true'], { cwd: '/no/such/folder' }))
  expect(error.code).toBe('io')
  expect(error.message).toBe('running true in /no/such/folder: no such file or directory')
})

test('a file that may not be executed is an error', async () => {
  const folder = await scratchFolder()
  await writeFile(join(folder, 'tool'), '#!/bin/sh\n', { mode: 0o644 })
  const error = await failureOf(run([join(folder, 'tool')]))
  expect(error.code).toBe('process')
  expect(error.message).toMatch(/EACCES/)
})

test('nothing starts when the signal has fired already', async () => {
  const folder = await scratchFolder()
  const error = await failureOf(run(['touch', join(folder, 'a')], { signal: AbortSignal.abort() }))
  expect(error.code).toBe('cancelled')
  await expect(readFile(join(folder, 'a'))).rejects.toThrow('ENOENT')
})

// A shell that is told to end between fork and exec loses the signal: hence the grace time.
/** Runs a script that writes the ids of its processes, then cancels it. */
async function cancelAfterStart(script: string, graceMs = 5_000): Promise<readonly number[]> {
  const folder = await scratchFolder()
  const pidFile = join(folder, 'pids')
  const stop = new AbortController()
  const { signal } = stop
  const running = failureOf(run(['sh', '-c', script, 'sh', pidFile], { signal, graceMs }))
  let pids: number[] = []
  while (pids.length < 2) {
    await sleep(10)
    const text = await readFile(pidFile, 'utf8').catch(() => '')
    pids = text.split('\n').slice(0, -1).map(Number)
  }
  stop.abort()
  expect((await running).code).toBe('cancelled')
  return pids
}

/** A zombie has ended; nobody may collect it in a container. */
function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

test('cancelling ends the whole group, and waits for it', async () => {
  const script = 'sleep 600 & printf "%s\\n" $$ $! > "$1"; wait'
  const pids = await cancelAfterStart(script)
  expect(pids.filter(isAlive)).toEqual([])
})

test('cancelling lets the child clean up', async () => {
  const folder = await scratchFolder()
  const mark = join(folder, 'cleaned')
  const script = `trap 'sleep 0.2; touch ${mark}; exit 1' TERM
    sleep 600 & printf '%s\\n' $$ $! > "$1"; wait`
  await cancelAfterStart(script)
  expect(await readFile(mark, 'utf8')).toBe('')
})

test('a group that ignores SIGTERM is killed after the grace time', async () => {
  const script = `trap '' TERM; sleep 600 & printf '%s\\n' $$ $! > "$1"; wait`
  const pids = await cancelAfterStart(script, 200)
  expect(pids.filter(isAlive)).toEqual([])
})
