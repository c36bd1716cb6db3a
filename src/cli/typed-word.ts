/**
 * Asks the operator to type a word before something is lost for ever.
 *
 * 1. The question goes to the terminal itself, so that redirected streams do not matter.
 * 2. Anything but the word cancels. Without a terminal it is a usage error that names `--yes`.
 */
import { createReadStream, createWriteStream, openSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { cancelled, OsflashError, throwIfCancelled } from '../errors.ts'

export interface TypedWord {
  /** What will be lost, and what to type. */
  readonly question: string
  readonly word: string
  readonly signal: AbortSignal
}

/** @throws OsflashError `usage` without a terminal, `cancelled` for another word or a signal */
export async function askTyped({ question, word, signal }: TypedWord): Promise<void> {
  throwIfCancelled(signal)
  const [input, output] = openTerminal()
  const lines = createInterface({ input, output })
  try {
    const typed = await lines.question(question, { signal }).catch(() => undefined)
    if (typed?.trim() !== word) throw cancelled()
  } finally {
    lines.close()
    input.destroy()
    output.destroy()
  }
}

function openTerminal() {
  try {
    const [reading, writing] = [openSync('/dev/tty', 'r'), openSync('/dev/tty', 'w')]
    return [createReadStream('', { fd: reading }), createWriteStream('', { fd: writing })] as const
  } catch (cause) {
    throw new OsflashError('usage', 'asking for the word: there is no terminal', {
      cause,
      hints: ['--yes, once the plan was read: osflash plan'],
    })
  }
}
