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

import { access } from 'node:fs/promises'
import type { Readable, Writable } from 'node:stream'
import { cancelled, OsflashError, throwIfCancelled } from '../errors.ts'
import { endGroup } from './process-group.ts'
import { packageHint } from './tool-packages.ts'

const STDERR_TAIL_BYTES = 4096
const STDOUT_MAX_BYTES = 64 * 1024 * 1024
/** mmdebstrap needs about a second to unmount what it mounted. */
const GRACE_MS = 10_000

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
  /** How long a cancelled group may clean up before SIGKILL; default 10 s. */
  readonly graceMs?: number
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
  // With the first program: most runs of osflash start none, and it takes long to load.
  const { execa } = await import('execa')
  throwIfCancelled(options.signal)
  const child = execa(program, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...stdinOf(options.stdin ?? 'ignore'),
    env: { LC_ALL: 'C.UTF-8', ...options.env },
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
  const stop = new GroupStop(child.pid, options)
  const result = await child
  await stop.settle()
  return outcome(argv, options, { ...pick(result), stderrTail: tail.text() })
}

interface Ended {
  readonly status: number | undefined
  readonly signal: string | undefined
  /** What else went wrong: the start, or a stream; its errno and message. */
  readonly broken: boolean
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
  cause?: unknown
  stdout?: unknown
}): Omit<Ended, 'stderrTail'> {
  return {
    status: result.exitCode,
    signal: result.signal,
    broken: result.cause !== undefined,
    errno: result.code,
    message: result.originalMessage,
    stdout: typeof result.stdout === 'string' ? result.stdout : '',
  }
}

async function outcome(argv: Argv, options: RunOptions, ended: Ended): Promise<RunResult> {
  const { status, stdout, stderrTail } = ended
  if (options.signal?.aborted) throw cancelled()
  const accepted = options.statuses ?? [0]
  if (status !== undefined && !ended.broken && accepted.includes(status)) {
    return { status, stdout, stderrTail }
  }
  throw (await missingTool(argv[0], options.cwd, ended)) ?? failure(argv[0], ended)
}

/** The system says ENOENT as well when the working folder is missing. */
async function missingTool(
  program: string,
  cwd: string | undefined,
  ended: Ended,
): Promise<OsflashError | undefined> {
  if (ended.errno !== 'ENOENT' || ended.status !== undefined) return undefined
  if (cwd !== undefined && !(await isThere(cwd))) {
    return new OsflashError('io', `running ${program} in ${cwd}: no such file or directory`)
  }
  return new OsflashError('missing-tool', `running ${program}: no such program`, {
    data: { program },
    hints: packageHint(program),
  })
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function failure(program: string, ended: Ended): OsflashError {
  const lastLine = ended.stderrTail.trim().split('\n').at(-1) ?? ''
  const message = `running ${program}: ${why(ended)}${lastLine === '' ? '' : `: ${lastLine}`}`
  return new OsflashError('process', message, {
    data: {
      program,
      status: ended.status ?? null,
      signal: ended.signal ?? null,
      stderr: ended.stderrTail,
    },
  })
}

function why({ broken, signal, status, message }: Ended): string {
  if (broken) return message ?? 'could not be run'
  return signal === undefined ? `exit status ${status ?? 'unknown'}` : `ended by ${signal}`
}

function stdinOf(input: RunInput) {
  if (typeof input === 'number') return { stdin: descriptor(input) }
  return input === 'ignore' ? { stdin: input } : { input }
}

function stdoutOf(output: RunOutput | undefined) {
  if (output === undefined || output === 'capture') return 'pipe'
  if (typeof output === 'number') return descriptor(output)
  // Beside `pipe`, because a stream without a descriptor cannot be handed to the child.
  return output === 'ignore' ? output : (['pipe', output] as const)
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
  readonly #signal: AbortSignal | undefined
  readonly #begin: () => void
  #ended: Promise<void> | undefined

  constructor(groupId: number | undefined, { signal, graceMs = GRACE_MS }: RunOptions) {
    this.#signal = signal
    this.#begin = () => {
      if (groupId !== undefined) this.#ended = endGroup(groupId, graceMs)
    }
    signal?.addEventListener('abort', this.#begin, { once: true })
  }

  async settle(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#begin)
    await this.#ended
  }
}
