/**
 * The start: the only place that reads arguments and environment, and that exits.
 *
 * 1. SIGINT, SIGTERM and SIGHUP abort the one signal of this run (signals.ts).
 * 2. Run the program with the streams of this process.
 * 3. Exit with its status, also when a stage left a handle open.
 */

import { errnoOf } from '../errors.ts'
import { liveProgress } from './live.ts'
import type { ProgressReader } from './progress.ts'
import { jsonProgress, plainProgress } from './progress.ts'
import { runProgram } from './run-program.ts'
import { stopSignal } from './signals.ts'
import type { TextWriter } from './verb.ts'
import { verbs } from './verbs.ts'

const IO_STATUS = 6
const stdout = writerTo(process.stdout, 'standard output')
const stderr = writerTo(process.stderr, 'standard error')
const nowMs = (): number => performance.now()

function writerTo(stream: NodeJS.WriteStream, name: string): TextWriter {
  stream.on('error', (error) => {
    // The reader of a pipe may leave early (`| head`); that is no failure of ours.
    if (errnoOf(error) === 'EPIPE') return
    process.stderr.write(`osflash: error: writing to ${name}: ${error.message}\n`)
    process.exit(IO_STATUS)
  })
  return { isTerminal: stream.isTTY === true, write: (text) => void stream.write(text) }
}

function makeReader(json: boolean): ProgressReader {
  if (json) return jsonProgress(stderr, nowMs)
  const live = stderr.isTerminal && process.env.TERM !== 'dumb'
  return live ? liveProgress(process.stderr, nowMs) : plainProgress(stderr, nowMs)
}

const argv = process.argv.slice(2)
const { env } = process
const signal = stopSignal()
process.exit(await runProgram({ argv, env, stdout, stderr, signal, verbs, makeReader }))
