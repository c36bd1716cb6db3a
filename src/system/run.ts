/**
 * The one way to start another program.
 *
 * 1. An argument list, never a shell; the message locale is C, standard input is empty unless
 *    given.
 * 2. The child leads its own process group, so the terminal's Ctrl-C does not reach it: only the
 *    signal decides.
 * 3. On cancelling: SIGTERM to the whole group, SIGKILL after a grace time, then wait until no
 *    process of the group is left, then throw `cancelled`.
 * 4. Standard output goes where the caller says; the last 4 KiB of standard error are kept for
 *    the error.
 * 5. A status that was not expected is an error `process`; a program that is not installed is
 *    an error `missing-tool` that names the Debian package.
 *
 * Not promised: that grandchildren which left the group (daemons) end with it.
 */

import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { cancelled, OsflashError, throwIfCancelled } from '../errors.ts'
import { packageHint } from './tool-packages.ts'

const STDERR_TAIL_BYTES = 4096
const STDOUT_MAX_BYTES = 64 * 1024 * 1024
/** mmdebstrap needs about a second to unmount what it mounted. */
const GRACE_MS = 10_000
const GROUP_POLL_MS = 20

/** Program and arguments, each passed as it is. */
export type Argv = readonly [program: string, ...args: string[]]

/** A file descriptor (number), a stream, or bytes. The descriptor stays open afterwards. */
export type RunInput = 'ignore' | number | Readable | Uint8Array
/** `capture` returns the text; a number is a file descriptor. A stream is ended afterwards. */
export type RunOutput = 'capture' | 'ignore' | number | Writable

export interface RunOptions {
  readonly signal?: AbortSignal | undefined
  readonly cwd?: string
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: RunInput
  readonly stdout?: RunOutput
  /** Called with each piece of standard error as it comes. */
  readonly onStderr?: (text: string) => void
  /** Exit statuses that are no error; default only 0. */
  readonly statuses?: readonly number[]
}

export interface RunResult {
  readonly status: number
  /** Empty unless `stdout` was `capture`; at most 64 MiB. */
  readonly stdout: string
  /** The last 4 KiB of standard error. */
  readonly stderrTail: string
}

/**
 * Runs a program to its end.
 *
 * @throws OsflashError `missing-tool`, `process` (data: program, status or signal), `cancelled`
 */
export async function run(argv: Argv, options: RunOptions = {}): Promise<RunResult> {
  throwIfCancelled(options.signal)
  const [program, ...args] = argv
  const tail = new Tail(options.onStderr)
  const child = execa(program, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.stdin instanceof Uint8Array ? { input: options.stdin } : {}),
    env: { LC_ALL: 'C.UTF-8', ...options.env },
    stdin: stdinOf(options.stdin),
    stdout: stdoutOf(options.stdout),
    stderr: 'pipe',
    buffer: { stdout: (options.stdout ?? 'capture') === 'capture', stderr: false },
    maxBuffer: STDOUT_MAX_BYTES,
    stripFinalNewline: false,
    reject: false,
    detached: true,
    cleanup: false,
  })
  child.stderr?.on('data', (chunk: Buffer) => tail.push(chunk))
  const stop = new GroupStop(child.pid, options.signal)
  const result = await child
  await stop.settle()
  return outcome(argv, options, { ...pick(result), stderrTail: tail.text() })
}

interface Ended {
  readonly status: number | undefined
  readonly signal: string | undefined
  readonly errno: string | undefined
  readonly message: string | undefined
  readonly stdout: string
  readonly stderrTail: string
}

function pick(result: {
  exitCode?: number | undefined
  signal?: string | undefined
  code?: string | undefined
  originalMessage?: string | undefined
  stdout?: unknown
}): Omit<Ended, 'stderrTail'> {
  return {
    status: result.exitCode,
    signal: result.signal,
    errno: result.code,
    message: result.originalMessage,
    stdout: typeof result.stdout === 'string' ? result.stdout : '',
  }
}

function outcome(argv: Argv, options: RunOptions, ended: Ended): RunResult {
  const { status, stdout, stderrTail } = ended
  if (options.signal?.aborted) throw cancelled()
  if (status !== undefined && ended.errno === undefined) {
    const accepted = options.statuses ?? [0]
    if (accepted.includes(status)) return { status, stdout, stderrTail }
  }
  throw failure(argv[0], ended)
}

function failure(program: string, ended: Ended): OsflashError {
  if (ended.errno === 'ENOENT' && ended.status === undefined) {
    return new OsflashError('missing-tool', `running ${program}: no such program`, {
      data: { program },
      hints: packageHint(program),
    })
  }
  const lastLine = ended.stderrTail.trim().split('\n').at(-1) ?? ''
  const why =
    ended.signal !== undefined
      ? `ended by ${ended.signal}`
      : ended.status !== undefined && ended.errno === undefined
        ? `exit status ${ended.status}`
        : (ended.message ?? ended.errno ?? 'could not be started')
  const message = `running ${program}: ${why}${lastLine === '' ? '' : `: ${lastLine}`}`
  return new OsflashError('process', message, {
    data: {
      program,
      status: ended.status ?? null,
      signal: ended.signal ?? null,
      stderr: ended.stderrTail,
    },
  })
}

function stdinOf(input: RunInput | undefined) {
  if (input instanceof Uint8Array) return 'pipe'
  return typeof input === 'number' ? descriptor(input) : (input ?? 'ignore')
}

function stdoutOf(output: RunOutput | undefined) {
  if (output === undefined || output === 'capture') return 'pipe'
  return typeof output === 'number' ? descriptor(output) : output
}

/** execa takes any descriptor, its types only those up to 9. */
const descriptor = (fd: number): 3 => fd as 3

/** Keeps the end of a stream of text. */
class Tail {
  #bytes = Buffer.alloc(0)
  readonly #listener: ((text: string) => void) | undefined

  constructor(listener: ((text: string) => void) | undefined) {
    this.#listener = listener
  }

  push(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]).subarray(-STDERR_TAIL_BYTES)
    this.#listener?.(chunk.toString())
  }

  text(): string {
    return this.#bytes.toString()
  }
}

/** Ends a process group when the signal fires, and waits for its end. */
class GroupStop {
  readonly #groupId: number | undefined
  readonly #signal: AbortSignal | undefined
  #ended: Promise<void> | undefined
  readonly #begin = (): void => {
    this.#ended = this.#groupId === undefined ? Promise.resolve() : endGroup(this.#groupId)
  }

  constructor(groupId: number | undefined, signal: AbortSignal | undefined) {
    this.#groupId = groupId
    this.#signal = signal
    signal?.addEventListener('abort', this.#begin, { once: true })
  }

  async settle(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#begin)
    await this.#ended
  }
}

async function endGroup(groupId: number): Promise<void> {
  send(groupId, 'SIGTERM')
  const deadlineMs = performance.now() + GRACE_MS
  while (send(groupId, 0)) {
    if (performance.now() > deadlineMs) send(groupId, 'SIGKILL')
    await sleep(GROUP_POLL_MS)
  }
}

/** False when no process of the group is left. */
function send(groupId: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-groupId, signal)
  } catch {
    return false
  }
}
