/**
 * Asks the operator to type a word before something is lost for ever.
 *
 * 1. The question goes to the terminal itself, so that redirected streams do not matter.
 * 2. Anything but the word cancels, the end of the terminal too. Without a terminal it is a usage
 *    error that names `--yes`.
 * 3. Nothing goes on reading afterwards: a read of a terminal that waits in libuv's threads, as
 *    that of a file's stream does, keeps the program from ending and takes the next line typed.
 */

import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { cancelled, throwIfCancelled } from '../errors.ts'
import { openTerminal } from './terminal.ts'

export interface TypedWord {
  /** What will be lost, and what to type. */
  readonly question: string
  readonly word: string
  readonly signal: AbortSignal
}

/** @throws OsflashError `usage` without a terminal, `cancelled` for another word or a signal */
export async function askTyped({ question, word, signal }: TypedWord): Promise<void> {
  throwIfCancelled(signal)
  const { terminal, descriptor } = openTerminal(
    'asking for the word',
    '--yes, once the plan was read: osflash plan',
  )
  const { promise: answer, resolve, reject } = Promise.withResolvers<string>()
  const stop = (): void => reject(cancelled())
  // Without an output the terminal itself edits the line, and makes a signal of Ctrl-C.
  const lines = createInterface({ input: terminal })
  lines.once('line', resolve)
  lines.once('close', stop)
  terminal.once('error', stop)
  signal.addEventListener('abort', stop)
  try {
    writeSync(descriptor, question)
    if ((await answer).trim() !== word) throw cancelled()
  } finally {
    signal.removeEventListener('abort', stop)
    lines.close()
    terminal.destroy()
  }
}
