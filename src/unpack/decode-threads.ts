/**
 * The threads of the unpacker, before there is an image.
 *
 * 1. They load what decoding needs and wait for `startEngine`; meanwhile the main thread loads
 *    OpenPGP, and opens and checks the image.
 * 2. This module imports nothing heavy, so that a verb starts them before anything else.
 *
 * Not promised: that they end by themselves; whoever starts them closes them.
 */
import { availableParallelism } from 'node:os'
import { moduleBeside } from '../system/module-url.ts'
import { startWorkerPool, type WorkerPool } from '../system/worker-pool.ts'

/** Threads that load what decoding needs, and wait. */
export type DecodeThreads = WorkerPool

/** @param workers number of threads; default: one for each processor */
export function startDecodeThreads(workers = availableParallelism()): DecodeThreads {
  return startWorkerPool({ workers, module: moduleBeside(import.meta.url, './decode-worker.ts') })
}
