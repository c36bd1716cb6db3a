/**
 * A fixed pool of worker threads that take jobs of a few numbers.
 *
 * 1. Threads load their module as soon as the pool is there, and do nothing before `setUp`: so
 *    they start while the main thread still finds out what is to be done.
 * 2. Everything large lies in shared memory, told once by `setUp`; a job and its answer are
 *    short arrays of numbers, so that nothing is copied and nothing large is cloned.
 * 3. A job goes to the worker with the fewest; each has at most two, so that the next one is
 *    there when the first ends. All others wait, first come first served.
 * 4. A worker that throws answers with the error's code and text. One that dies fails its own
 *    jobs, those that wait and those that come; jobs of the others end as they would.
 * 5. `close` lets each thread end its jobs, and then leave; one that is stuck is ended; it is
 *    safe to call twice.
 *
 * Not promised: that jobs end in the order in which they began.
 */
import { type MessagePort, Worker } from 'node:worker_threads'
import { type ErrorCode, type ErrorData, OsflashError } from '../errors.ts'

/** A job, or its answer: a few numbers that point into shared memory. */
export type Numbers = readonly number[]

export interface PoolOptions {
  /** Number of threads, 1 to 256. */
  readonly workers: number
  /** The worker's module, see `moduleBeside`. */
  readonly module: URL
}

export interface WorkerPool extends AsyncDisposable {
  readonly workers: number
  /** What every worker gets once, before its first job: shared memory, tables, settings. */
  setUp(setup: unknown): void
  run(job: Numbers): Promise<Numbers>
  close(): Promise<void>
}

interface Waiting {
  readonly job: Numbers
  readonly resolve: (answer: Numbers) => void
  readonly reject: (reason: unknown) => void
}

/** The answer of a worker that refused a job. */
interface Failure {
  readonly code: ErrorCode
  readonly message: string
  readonly data: ErrorData
  readonly hints: readonly string[]
}

/** Jobs that a thread has at a time: the one it does, and the next. */
const JOBS_EACH = 2

interface Thread {
  readonly worker: Worker
  /** Jobs without an answer; a thread answers in the order in which it got them. */
  readonly sent: Waiting[]
}

/** Starts the threads. */
export function startWorkerPool(options: PoolOptions): WorkerPool {
  const queue: Waiting[] = []
  let broken: unknown
  let closing = false

  const send = (): void => {
    while (queue.length > 0) {
      const thread = threads.reduce((least, one) =>
        one.sent.length < least.sent.length ? one : least,
      )
      if (thread.sent.length >= JOBS_EACH) return
      const waiting = queue.shift()
      if (waiting === undefined) return
      thread.sent.push(waiting)
      thread.worker.postMessage(waiting.job)
    }
  }
  const answered = ({ sent }: Thread, answer: Numbers | Failure): void => {
    const waiting = sent.shift()
    if (isFailure(answer)) {
      const { code, message, data, hints } = answer
      waiting?.reject(new OsflashError(code, message, { data, hints }))
    } else waiting?.resolve(answer)
    send()
  }
  // The others still use the memory that their jobs were given: those end in their own time.
  const died = ({ sent }: Thread, cause: unknown): void => {
    broken ??= cause
    for (const waiting of [...sent.splice(0), ...queue.splice(0)]) waiting.reject(broken)
  }
  const threads = Array.from({ length: options.workers }, () => {
    const thread: Thread = { worker: new Worker(options.module), sent: [] }
    thread.worker.on('message', (answer: Numbers | Failure) => answered(thread, answer))
    thread.worker.on('error', (cause) => died(thread, cause))
    thread.worker.on('exit', () => died(thread, endOf(closing)))
    return thread
  })
  const close = async (): Promise<void> => {
    closing = true
    for (const { reject } of queue.splice(0)) reject(endOf(true))
    await Promise.all(threads.map(({ worker }) => stopThread(worker)))
  }
  return {
    workers: options.workers,
    setUp: (setup) => {
      for (const { worker } of threads) worker.postMessage({ setup })
    },
    run: (job) =>
      new Promise((resolve, reject) => {
        if (broken !== undefined) return reject(broken)
        queue.push({ job, resolve, reject })
        send()
      }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/**
 * Lets a thread end its jobs and leave. Ending it from outside while a native module loads or
 * throws aborts the whole process.
 */
async function stopThread(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => resolve())
  })
  worker.postMessage(STOP)
  const late = setTimeout(() => void worker.terminate(), STOP_MS)
  await ended
  clearTimeout(late)
}

/** No job takes this long; a thread that does is stuck. */
const STOP_MS = 5_000

/** In place of a job: leave. */
const STOP = 'stop'

/** Threads end when the pool is closed, and never otherwise. */
function endOf(closing: boolean): OsflashError {
  return closing
    ? new OsflashError('cancelled', 'the worker threads were stopped')
    : new OsflashError('unexpected', 'a worker thread ended by itself')
}

/** Does one job of a thread. */
type Handle = (job: Numbers) => Numbers

/** What a thread is sent. */
type ToWorker<Setup> = Numbers | typeof STOP | { readonly setup: Setup }

/**
 * The worker's side: makes the handler from what `setUp` gave, then answers each job with what
 * it gives, or with its error. Call it once, at the end of the worker's module, with the
 * module's `parentPort`.
 */
export function answerJobs<Setup>(
  port: MessagePort | null,
  makeHandler: (setup: Setup) => Handle,
): void {
  if (port === null) throw new Error('this module runs in a worker thread only')
  let handle: Handle = () => {
    throw new Error('a job came before the setup')
  }
  port.on('message', (message: ToWorker<Setup>) => {
    if (message === STOP) {
      port.close()
      return
    }
    if ('setup' in message) {
      handle = makeHandler(message.setup)
      return
    }
    try {
      port.postMessage(handle(message))
    } catch (error) {
      port.postMessage(failureOf(error))
    }
  })
}

function failureOf(error: unknown): Failure {
  if (error instanceof OsflashError) {
    const { code, message, data, hints } = error
    return { code, message, data, hints }
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { code: 'unexpected', message: text, data: {}, hints: [] }
}

function isFailure(answer: Numbers | Failure): answer is Failure {
  return !Array.isArray(answer)
}
