/**
 * What `osflash build` does.
 *
 * 1. The recipe is read and checked, keys are read, and only then is anything built.
 * 2. The disk's parts are made in a scratch folder, packed from there, and removed.
 */
import { buildSource } from '../../pack/build/build.ts'
import { packImage } from '../../pack/image/pack.ts'
import { loadRecipe } from '../../pack/recipe/load.ts'
import { makeScratch } from '../../system/scratch.ts'
import { certificatesOf, secretKeysOf } from '../key-files.ts'
import { packOptionsOf } from '../pack-options.ts'
import { tellPacked } from '../packed-text.ts'
import type { PackingOptions } from '../shared-options.ts'
import { sourceDateEpoch } from '../source-date-epoch.ts'
import type { VerbContext } from '../verb.ts'

export interface BuildOptions extends PackingOptions {
  readonly set?: readonly string[]
}

/** @throws OsflashError `recipe`, `refused` and what building and packing give */
export async function build(
  path: string,
  options: BuildOptions,
  context: VerbContext,
): Promise<void> {
  const { emit, signal, env } = context
  const { passphraseFile } = options
  const loaded = await loadRecipe(path, { set: options.set ?? [] })
  const recipients = await certificatesOf(options.recipient)
  const signers = await secretKeysOf(options.signWith, { passphraseFile, signal })
  await using scratch = await makeScratch('build', env.TMPDIR)
  const source = await buildSource(loaded, {
    scratch: scratch.path,
    sourceDateEpoch: sourceDateEpoch(env),
    signal,
    emit,
  })
  const report = await packImage(source, {
    ...packOptionsOf(options),
    recipients,
    signers,
    signal,
    emit,
  })
  tellPacked(context, options.output, report)
}
