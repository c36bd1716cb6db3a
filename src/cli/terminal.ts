/**
 * The operator's terminal itself, also where the streams of the program are redirected.
 *
 * Who destroys the stream closes the descriptor as well.
 */
import { openSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { OsflashError } from '../errors.ts'

interface OpenTerminal {
  readonly terminal: ReadStream
  /** For writing; it belongs to `terminal`. */
  readonly descriptor: number
}

/**
 * @param what the gerund for the error: `asking for a passphrase`
 * @param instead the option for those who have no terminal
 * @throws OsflashError `usage` without a terminal
 */
export function openTerminal(what: string, instead: string): OpenTerminal {
  try {
    const descriptor = openSync('/dev/tty', 'r+')
    return { terminal: new ReadStream(descriptor), descriptor }
  } catch (cause) {
    throw new OsflashError('usage', `${what}: there is no terminal`, { cause, hints: [instead] })
  }
}
