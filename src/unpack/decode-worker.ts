/**
 * A worker thread of the unpacker: takes jobs, answers them, and knows nothing else.
 *
 * 1. Setup comes once, as a message: tables, session key, and the two kinds of shared slots.
 * 2. Jobs are those of decode-jobs.ts.
 */
import { parentPort } from 'node:worker_threads'
import { answerJobs } from '../system/worker-pool.ts'
import { makeJobHandler } from './decode-jobs.ts'

answerJobs(parentPort, makeJobHandler)
