/**
 * Asks the operator for a secret, on the terminal itself.
 *
 * 1. The question and the answer go through `/dev/tty`, so that redirected streams do not matter.
 * 2. The answer is not shown; Ctrl-C cancels.
 * 3. Without a terminal it is a usage error that names the option to use instead.
 */
import { openSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { cancelled, OsflashError } from '../errors.ts'

const CTRL_C = '\u0003'
const BACKSPACE = '\u007f'

/** @throws OsflashError `usage` without a terminal, `cancelled` on Ctrl-C */
export async function askSecret(question: string): Promise<string> {
  const terminal = openTerminal()
  const answer = new Promise<string>((resolve, reject) => {
    let typed = ''
    terminal.on('data', (chunk: Buffer) => {
      for (const key of chunk.toString('utf8')) {
        if (key === CTRL_C) reject(cancelled())
        else if (key === '\r' || key === '\n') resolve(typed)
        else if (key === BACKSPACE) typed = typed.slice(0, -1)
        else typed += key
      }
    })
    terminal.on('error', reject)
  })
  terminal.setRawMode(true)
  process.stderr.write(question)
  try {
    return await answer
  } finally {
    terminal.setRawMode(false)
    process.stderr.write('\n')
    terminal.destroy()
  }
}

function openTerminal(): ReadStream {
  try {
    return new ReadStream(openSync('/dev/tty', 'r'))
  } catch (cause) {
    throw new OsflashError('usage', 'asking for a passphrase: there is no terminal', {
      cause,
      hints: ['--passphrase-file FILE'],
    })
  }
}
