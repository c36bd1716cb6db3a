/**
 * Asks the operator for a secret, on the terminal itself.
 *
 * 1. The question and the answer go through `/dev/tty`, so that redirected streams do not matter.
 * 2. The answer is not shown. Backspace takes a character back, Ctrl-U all; Ctrl-C, Ctrl-D, a
 *    signal and the end of the terminal cancel.
 * 3. Without a terminal it is a usage error that names the option to use instead.
 */

import { writeSync } from 'node:fs'
import { cancelled, throwIfCancelled } from '../errors.ts'
import { openTerminal } from './terminal.ts'

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const CTRL_U = '\u0015'
const BACKSPACES = ['\u007f', '\b']

/** @throws OsflashError `usage` without a terminal, `cancelled` on Ctrl-C or a signal */
export async function askSecret(question: string, signal: AbortSignal): Promise<string> {
  throwIfCancelled(signal)
  const { terminal, descriptor } = openTerminal('asking for a passphrase', '--passphrase-file FILE')
  const { promise: answer, resolve, reject } = Promise.withResolvers<string>()
  const stop = (): void => reject(cancelled())
  const typed = new TypedLine()
  terminal.on('data', (chunk: Buffer) => {
    const outcome = typed.take(chunk.toString('utf8'))
    if (outcome === 'cancelled') stop()
    else if (outcome === 'ended') resolve(typed.text)
  })
  terminal.on('error', stop)
  terminal.on('end', stop)
  signal.addEventListener('abort', stop)
  terminal.setRawMode(true)
  writeSync(descriptor, question)
  try {
    return await answer
  } finally {
    signal.removeEventListener('abort', stop)
    terminal.setRawMode(false)
    writeSync(descriptor, '\n')
    terminal.destroy()
  }
}

/** The line under way, key by key. */
export class TypedLine {
  #characters: string[] = []

  get text(): string {
    return this.#characters.join('')
  }

  /** What comes after the end of the line is dropped. */
  take(keys: string): 'open' | 'ended' | 'cancelled' {
    for (const key of keys) {
      if (key === CTRL_C || key === CTRL_D) return 'cancelled'
      if (key === '\r' || key === '\n') return 'ended'
      if (key === CTRL_U) this.#characters = []
      else if (BACKSPACES.includes(key)) this.#characters.pop()
      else this.#characters.push(key)
    }
    return 'open'
  }
}
