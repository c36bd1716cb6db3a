/**
 * A thread of the image writer.
 *
 * 1. It gets `PackSetup` once, as its worker data.
 * 2. It answers jobs with its kernel (kernel.ts) until it is ended.
 * 3. The main thread (workers.ts) decides what is done and in which order.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { answerJobs } from '../../system/worker-pool.ts'
import type { PackSetup } from './jobs.ts'
import { makeKernel } from './kernel.ts'

const setup: PackSetup = workerData
answerJobs(parentPort, makeKernel(setup))
