/** A writer that keeps what it was given, and a clock that a test sets. */

import type { TextWriter } from '../../src/cli/verb.ts'

export interface Screen extends TextWriter {
  readonly text: () => string
  readonly lines: () => readonly string[]
}

export function makeScreen(isTerminal = false): Screen {
  const pieces: string[] = []
  const text = (): string => pieces.join('')
  return {
    isTerminal,
    write: (piece) => void pieces.push(piece),
    text,
    lines: () => text().split('\n').slice(0, -1),
  }
}

export function makeClock() {
  let ms = 0
  return {
    nowMs: (): number => ms,
    advance: (byMs: number): void => {
      ms += byMs
    },
  }
}
