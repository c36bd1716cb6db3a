/**
 * From an error to text and an exit status, in one place.
 *
 * 1. Find the error that began it: cleaning up may have failed on top of it.
 * 2. An `OsflashError` is one line and its hints; with `--json` one line of JSON.
 * 3. Anything else is a fault of the program: its stack is shown, the status is 1.
 * 4. Control characters, which names in an image may hold, are shown as `\x1b`, never sent.
 */

import { CommanderError } from 'commander'
import { cancelled, exitStatus, messageOf, OsflashError } from '../errors.ts'

export interface FailureView {
  readonly json: boolean
  /** True shows the stack of any error. */
  readonly debug: boolean
}

const HELP = 'osflash --help'

/** The error to report for whatever was thrown. */
export function reportable(thrown: unknown, signal: AbortSignal, help = HELP): unknown {
  // `await using`: the error of the block is `suppressed`, that of the cleaning up `error`.
  if (thrown instanceof SuppressedError) return reportable(thrown.suppressed, signal, help)
  if (thrown instanceof OsflashError) return thrown
  if (signal.aborted && isAbort(thrown)) return cancelled()
  if (thrown instanceof CommanderError) return usageError(thrown, help)
  return thrown
}

/** The lines of an error, each with its `\n`. */
export function renderFailure(error: unknown, view: FailureView): string {
  return view.json ? `${JSON.stringify(asEvent(error))}\n` : asText(error, view.debug)
}

function asText(error: unknown, debug: boolean): string {
  const known = error instanceof OsflashError
  const hints = known ? error.hints : ['this is a fault of osflash; please report these lines']
  const stack = debug || !known ? stackOf(error) : []
  const lines = [
    `osflash: error: ${messageOf(error)}`,
    ...stack,
    ...hints.map((hint) => `hint: ${hint}`),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function asEvent(error: unknown) {
  const known = error instanceof OsflashError
  return {
    event: 'error',
    code: known ? error.code : 'unexpected',
    status: exitStatus(error),
    message: messageOf(error),
    hints: known ? error.hints : [],
    data: known ? error.data : {},
  }
}

function stackOf(error: unknown): string[] {
  const own = error instanceof Error ? (error.stack ?? '').split('\n').slice(1) : []
  const cause = error instanceof Error ? error.cause : undefined
  return cause === undefined ? own : [...own, `  cause: ${messageOf(cause)}`, ...stackOf(cause)]
}

function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, (character) => {
    const code = character.charCodeAt(0)
    return code === 10 ? '\n  ' : `\\x${code.toString(16).padStart(2, '0')}`
  })
}

function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown.name === 'AbortError' || 'isCanceled' in thrown)
}

/** `error: unknown command 'bild'\n(Did you mean build?)` becomes a message and a hint. */
function usageError(error: CommanderError, help: string): OsflashError {
  const [first = '', ...more] = error.message.split('\n')
  const nearest = more.join(' ').match(/Did you mean (?:one of )?(.*)\?/)?.[1]
  const message = first.replace(/^error: /, '').replace('unknown command', 'unknown verb')
  const hints = nearest === undefined ? [] : [`did you mean ${nearest}?`]
  return new OsflashError('usage', message, { hints: [...hints, help] })
}
