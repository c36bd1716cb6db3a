/**
 * What `osflash resume` does.
 *
 * 1. With `--target`: opens the new image; nothing of the old one is touched before it is believed.
 * 2. Says how the run ended: rebooting, or holding, which is status 3 unless the rescue's own
 *    service asked.
 */
import { OsflashError } from '../../errors.ts'
import type { RescueOutcome } from '../../flash/rescue/machine.ts'
import type { NewTarget } from '../../flash/rescue/new-target.ts'
import { resume as goOn } from '../../flash/rescue/resume.ts'
import { identitiesOf, type TrustOptions, trustFilesOf, trustOf } from '../key-files.ts'
import type { VerbContext } from '../verb.ts'

export interface ResumeVerbOptions extends TrustOptions {
  readonly target?: string
  readonly identity?: readonly string[]
  readonly passphraseFile?: string
  readonly boot?: boolean
}

/**
 * @throws OsflashError `refused` outside of the rescue, or when it holds; what opening the image
 *   gives
 */
export async function resume(options: ResumeVerbOptions, context: VerbContext): Promise<void> {
  const { emit, signal } = context
  const newTarget = await newTargetOf(options, context)
  const outcome = await goOn({
    atBoot: options.boot ?? false,
    emit,
    signal,
    ...(newTarget === undefined ? {} : { newTarget }),
  })
  report(outcome, { atBoot: options.boot ?? false }, context)
}

/**
 * A rescue that holds is a failure to who asked for more; the service did what it is there for.
 * @throws OsflashError `refused` when the rescue holds
 */
export function report(
  outcome: RescueOutcome,
  { atBoot }: { readonly atBoot: boolean },
  { json, stdout }: Pick<VerbContext, 'json' | 'stdout'>,
): void {
  if (json) stdout.write(`${JSON.stringify({ outcome })}\n`)
  else if (outcome === 'rebooting') stdout.write('rebooting\n')
  if (outcome === 'rebooting' || atBoot) return
  throw new OsflashError('refused', 'replacing the operating system: the rescue holds', {
    hints: ['osflash status says why, and what can be done next'],
  })
}

/** Options that say nothing about the stored image. */
const OF_TARGET = {
  trust: '--trust',
  threshold: '--threshold',
  identity: '--identity',
  passphraseFile: '--passphrase-file',
} as const

async function newTargetOf(
  options: ResumeVerbOptions,
  { signal }: VerbContext,
): Promise<NewTarget | undefined> {
  const { target, trust } = options
  if (target === undefined) {
    const idle = Object.entries(OF_TARGET).find(([name]) => name in options)?.[1]
    if (idle === undefined) return undefined
    throw new OsflashError('usage', `${idle} belongs to --target`, {
      hints: ['osflash resume --help'],
    })
  }
  if (trust === undefined) {
    throw new OsflashError('usage', 'no --trust given: nothing says whose signature counts', {
      hints: ['--trust signer.pub'],
    })
  }
  const check = await trustOf(options)
  const identities = await identitiesOf(options, signal)
  return { location: target, check, identities, trust: await trustFilesOf(trust) }
}
