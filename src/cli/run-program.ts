/**
 * One run of the program, from arguments to an exit status.
 *
 * 1. Choose the reader of events: JSON lines, a live display, or plain lines.
 * 2. Parse the arguments and run the verb's action.
 * 3. Close the display, then report what was thrown, then return the status.
 *
 * Touches neither `process` nor global state, so a test can run it.
 */

import { CommanderError } from 'commander'
import { exitStatus, OsflashError } from '../errors.ts'
import { renderFailure, reportable } from './failure.ts'
import { makeProgram } from './program.ts'
import type { ProgressReader } from './progress.ts'
import type { TextWriter, Verb, VerbContext } from './verb.ts'

export interface ProgramSurroundings {
  /** Without the names of the runtime and of the program. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: TextWriter
  readonly stderr: TextWriter
  readonly signal: AbortSignal
  readonly verbs: readonly Verb[]
  makeReader(json: boolean): ProgressReader
}

/** Runs one verb. Never throws. Returns the exit status, 0 to 130. */
export async function runProgram(around: ProgramSurroundings): Promise<number> {
  const json = wantsJson(around.argv)
  const reader = around.makeReader(json)
  const context: VerbContext = {
    signal: around.signal,
    json,
    env: around.env,
    emit: reader.emit,
    stdout: behind(reader, around.stdout),
    stderr: behind(reader, around.stderr),
  }
  try {
    await parse(around, context)
    return 0
  } catch (thrown) {
    const error = reportable(thrown, around.signal, helpLine(around))
    await reader.close()
    const debug = (around.env.OSFLASH_DEBUG ?? '') !== ''
    around.stderr.write(renderFailure(error, { json, debug }))
    return exitStatus(error)
  } finally {
    await reader.close()
  }
}

async function parse(around: ProgramSurroundings, context: VerbContext): Promise<void> {
  const program = makeProgram(around.verbs, context)
  if (around.argv.length === 0) {
    around.stderr.write(program.helpInformation())
    throw new OsflashError('usage', 'no verb given', { hints: ['osflash --help'] })
  }
  try {
    await program.parseAsync([...around.argv], { from: 'user' })
  } catch (error) {
    // Help and version end this way too, with status 0.
    if (!(error instanceof CommanderError) || error.exitCode !== 0) throw error
  }
}

/** Known before parsing, because a usage error is reported as JSON too. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end === -1 ? argv.length : end).includes('--json')
}

/** How to read on after a usage error. */
function helpLine({ argv, verbs }: ProgramSurroundings): string {
  const verb = verbs.find(({ name }) => name === argv.find((word) => !word.startsWith('-')))
  return verb === undefined ? 'osflash --help' : `osflash ${verb.name} --help`
}

function behind(reader: ProgressReader, writer: TextWriter): TextWriter {
  return {
    isTerminal: writer.isTerminal,
    write: (text) => reader.whenClear(() => writer.write(text)),
  }
}
