/**
 * What a verb is, and what it is given.
 *
 * 1. A verb is one file `src/cli/NAME.ts` that exports `const verb: Verb`; `verbs.ts` lists it.
 * 2. `register` adds one command to the program; its action calls stages with `context.signal`
 *    and `context.emit`, and writes the result to `context.stdout`.
 * 3. An action ends by returning (status 0) or by throwing; it never prints an error itself and
 *    never sets an exit status. `run-program.ts` does both, in one place.
 *
 * Not promised: that the terminal is free while a phase is open; write results after it ended.
 */

import type { Command } from 'commander'
import type { Emit } from '../events.ts'

/** Text out: standard output for results, standard error for everything else. */
export interface TextWriter {
  readonly isTerminal: boolean
  /** Writes text as it is; the caller ends lines with `\n`. */
  write(text: string): void
}

export interface VerbContext {
  /** Fires on SIGINT, SIGTERM and SIGHUP; pass it to every stage. */
  readonly signal: AbortSignal
  /** True with `--json`: the result goes to stdout as JSON, events go to stderr as JSON lines. */
  readonly json: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  readonly emit: Emit
  readonly stdout: TextWriter
  readonly stderr: TextWriter
}

export interface Verb {
  readonly name: string
  register(program: Command, context: VerbContext): void
}
