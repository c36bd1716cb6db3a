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

import { type ChildProcess, spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { cancelled, errnoOf, OsflashError, throwIfCancelled } from '../errors.ts'
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
  const ending = new Ending(options.onStderr)
  const child = ending.of(() => start(argv, options))
  if (child !== undefined) {
    const stop = new GroupStop(child.pid, options)
    await ending.wait(child, options)
    await stop.settle()
  }
  return outcome(argv, options, ending.facts())
}

function start([program, ...args]: Argv, options: RunOptions): ChildProcess {
  const { stdin = 'ignore', stdout = 'capture' } = options
  return spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: 'C.UTF-8', ...options.env },
    stdio: [
      typeof stdin === 'number' || stdin === 'ignore' ? stdin : 'pipe',
      typeof stdout === 'number' || stdout === 'ignore' ? stdout : 'pipe',
      'pipe',
    ],
    detached: true,
  })
}

/** Waits for a child and its streams, and remembers the first thing that went wrong. */
class Ending {
  readonly #tail: Tail
  readonly #captured: Buffer[] = []
  #capturedBytes = 0
  #status: number | undefined
  #signal: string | undefined
  #fault: Error | undefined

  constructor(onStderr: RunOptions['onStderr']) {
    this.#tail = new Tail(onStderr)
  }

  /** Some faults (arguments too long) are thrown at once, others come as events. */
  of(begin: () => ChildProcess): ChildProcess | undefined {
    try {
      return begin()
    } catch (cause) {
      this.#note(cause)
      return undefined
    }
  }

  async wait(child: ChildProcess, options: RunOptions): Promise<void> {
    child.stderr?.on('data', (chunk: Buffer) => this.#tail.push(chunk))
    const closed = new Promise<void>((resolve) => {
      child.on('error', (error) => {
        this.#note(error)
        if (child.pid === undefined) resolve()
      })
      child.on('close', (status, signal) => {
        if (child.pid !== undefined) this.#status = status ?? undefined
        this.#signal = signal ?? undefined
        resolve()
      })
    })
    await Promise.all([closed, this.#feed(child.stdin, options), this.#drain(child, options)])
  }

  facts(): Ended {
    return {
      status: this.#status,
      signal: this.#signal,
      broken: this.#fault !== undefined,
      errno: errnoOf(this.#fault),
      message: this.#fault?.message,
      stdout: Buffer.concat(this.#captured).toString(),
      stderrTail: this.#tail.text(),
    }
  }

  async #feed(into: Writable | null, { stdin }: RunOptions): Promise<void> {
    if (into === null || typeof stdin === 'number' || stdin === undefined || stdin === 'ignore') {
      return
    }
    const source = stdin instanceof Uint8Array ? Readable.from([stdin]) : stdin
    // Before pipeline's own listeners, which close the other end.
    source.once('error', (error) => {
      if (!into.destroyed) this.#note(error)
    })
    source.once('close', () => {
      const early = !source.readableEnded && !into.destroyed
      if (early) this.#note(new Error('its input ended early'))
    })
    // A program that has enough closes its input: no fault, its status says how it went.
    await pipeline(source, into).catch(() => undefined)
  }

  async #drain({ stdout: from }: ChildProcess, { stdout }: RunOptions): Promise<void> {
    if (from === null) return
    if (stdout !== undefined && typeof stdout === 'object') {
      await pipeline(from, stdout).catch((cause) => this.#note(cause))
      return
    }
    from.on('data', (chunk: Buffer) => {
      this.#capturedBytes += chunk.length
      if (this.#capturedBytes <= STDOUT_MAX_BYTES) this.#captured.push(chunk)
      else from.destroy(new Error(`more than ${STDOUT_MAX_BYTES} bytes of output`))
    })
    from.on('error', (error) => this.#note(error))
  }

  #note(cause: unknown): void {
    this.#fault ??= cause instanceof Error ? cause : new Error(String(cause))
  }
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
