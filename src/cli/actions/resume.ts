/**
 * What `osflash resume` does.
 *
 * 1. With `--target`: opens the new image; nothing of the old one is touched before it is believed.
 * 2. Says how the run ended: rebooting, or holding with the reason.
 */
import { OsflashError } from '../../errors.ts'
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

/** @throws OsflashError `refused` outside of the rescue; what opening the image gives */
export async function resume(options: ResumeVerbOptions, context: VerbContext): Promise<void> {
  const { emit, signal } = context
  const newTarget = await newTargetOf(options, context)
  const outcome = await goOn({
    atBoot: options.boot ?? false,
    emit,
    signal,
    ...(newTarget === undefined ? {} : { newTarget }),
  })
  const text = outcome === 'held' ? 'the rescue holds: osflash status says why\n' : 'rebooting\n'
  context.stdout.write(context.json ? `${JSON.stringify({ outcome })}\n` : text)
}

async function newTargetOf(
  options: ResumeVerbOptions,
  { signal }: VerbContext,
): Promise<NewTarget | undefined> {
  const { target, trust = [] } = options
  if (target === undefined) {
    if (trust.length === 0 && options.identity === undefined) return undefined
    throw new OsflashError('usage', '--trust and --identity belong to --target', {
      hints: ['osflash resume --help'],
    })
  }
  const check = await trustOf(options)
  const identities = await identitiesOf(options, signal)
  return { location: target, check, identities, trust: await trustFilesOf(trust) }
}
