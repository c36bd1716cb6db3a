/** Runs the real verbs in this process, with screens in place of streams. */

import type { ProgressReader } from '../../src/cli/progress.ts'
import { runProgram } from '../../src/cli/run-program.ts'
import type { TextWriter } from '../../src/cli/verb.ts'
import { verbs } from '../../src/cli/verbs.ts'
import { vectorKey, vectorPath } from '../vectors/vectors.ts'
import { makeScreen } from './screen.ts'

export interface Played {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface PlaySettings {
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export async function play(argv: readonly string[], settings: PlaySettings = {}): Promise<Played> {
  const stdout = makeScreen()
  const stderr = makeScreen()
  const status = await runProgram({
    argv,
    env: settings.env ?? {},
    stdout,
    stderr,
    signal: settings.signal ?? new AbortController().signal,
    verbs,
    makeReader: () => notesOnly(stderr),
  })
  return { status, stdout: stdout.text(), stderr: stderr.text() }
}

/** Progress depends on the speed of the machine; notes do not. */
function notesOnly(stderr: TextWriter): ProgressReader {
  return {
    emit: (event) => {
      if (event.event === 'note') stderr.write(`${event.text}\n`)
    },
    whenClear: (write) => write(),
    close: async () => undefined,
  }
}

/** Options that open the vectors. */
export const TRUST = ['--trust', vectorKey('signer.pub')] as const
export const OPEN = [...TRUST, '--identity', vectorKey('recipient.key')] as const
/** Options that pack for the recipient of the vectors. */
export const SEAL = [
  '--recipient',
  vectorKey('recipient.pub'),
  '--sign-with',
  vectorKey('signer.key'),
] as const

/** Text with short fingerprints, without what differs from run to run: folders, times, rates. */
export function steady(
  text: string,
  folder = vectorPath('x').slice(0, -'/x.osimg'.length),
): string {
  return text
    .replaceAll(folder, 'DIR')
    .replaceAll(/\b[0-9A-F]{60}(?=[0-9A-F]{4}\b)/g, '…')
    .replaceAll(/\d+(\.\d+)? s\b/g, 'N s')
    .replaceAll(/[\d.]+ (B|KiB|MiB|GiB)\/s/g, 'RATE')
}
