/**
 * A thread of the image writer.
 *
 * 1. It gets `PackSetup` once, as a message.
 * 2. It answers jobs with its kernel (kernel.ts) until it is ended.
 * 3. The main thread (workers.ts) decides what is done and in which order.
 */
import { parentPort } from 'node:worker_threads'
import { answerJobs } from '../../system/worker-pool.ts'
import { makeKernel } from './kernel.ts'

answerJobs(parentPort, makeKernel)
