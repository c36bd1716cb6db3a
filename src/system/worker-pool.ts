/**
 * A fixed pool of worker threads that take jobs of a few numbers.
 *
 * 1. Everything large lies in shared memory, set up once through `setup`; a job and its answer
 *    are short arrays of numbers, so that nothing is copied and nothing large is cloned.
 * 2. A job goes to an idle worker; `run` waits when there is none, first come first served.
 * 3. A worker that throws answers with the error's code and text; one that dies fails every
 *    job that waits, once.
 * 4. `close` lets each thread end its job, and then leave; one that is stuck is ended; it is
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
  /** What every worker gets once, before its first job: shared memory, tables, settings. */
  readonly setup: unknown
}

export interface WorkerPool extends AsyncDisposable {
  readonly workers: number
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

/** Starts the threads. */
export function startWorkerPool(options: PoolOptions): WorkerPool {
  const idle: Worker[] = []
  const queue: Waiting[] = []
  const running = new Map<Worker, Waiting>()
  let broken: unknown
  let closing = false

  const next = (worker: Worker): void => {
    const waiting = queue.shift()
    if (waiting === undefined) {
      idle.push(worker)
      return
    }
    running.set(worker, waiting)
    worker.postMessage(waiting.job)
  }
  const answered = (worker: Worker, answer: Numbers | Failure): void => {
    const waiting = running.get(worker)
    running.delete(worker)
    if (isFailure(answer)) {
      const { code, message, data, hints } = answer
      waiting?.reject(new OsflashError(code, message, { data, hints }))
    } else waiting?.resolve(answer)
    next(worker)
  }
  const died = (cause: unknown): void => {
    broken ??= cause
    for (const waiting of [...running.values(), ...queue.splice(0)]) waiting.reject(broken)
    running.clear()
  }
  const threads = Array.from({ length: options.workers }, () => {
    const worker = new Worker(options.module, { workerData: options.setup })
    worker.on('message', (answer: Numbers | Failure) => answered(worker, answer))
    worker.on('error', died)
    worker.on('exit', () => died(endOf(closing)))
    idle.push(worker)
    return worker
  })
  const close = async (): Promise<void> => {
    closing = true
    for (const { reject } of queue.splice(0)) reject(endOf(true))
    await Promise.all(threads.map(stopThread))
  }
  return {
    workers: options.workers,
    run: (job) =>
      new Promise((resolve, reject) => {
        if (broken !== undefined) return reject(broken)
        queue.push({ job, resolve, reject })
        const worker = idle.shift()
        if (worker !== undefined) next(worker)
      }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/**
 * Lets a thread end its job and leave. Ending it from outside while a native module loads or
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

/**
 * The worker's side: answers each job with what `handle` gives, or with its error.
 * Call it once, at the end of the worker's module, with the module's `parentPort`.
 */
export function answerJobs(port: MessagePort | null, handle: (job: Numbers) => Numbers): void {
  if (port === null) throw new Error('this module runs in a worker thread only')
  port.on('message', (job: Numbers | typeof STOP) => {
    if (job === STOP) {
      port.close()
      return
    }
    try {
      port.postMessage(handle(job))
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
