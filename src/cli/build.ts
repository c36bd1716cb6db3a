/**
 * `osflash build RECIPE -o IMAGE`: from a recipe to a signed image.
 *
 * 1. The recipe is read and checked, keys are read, and only then is anything built.
 * 2. The disk's parts are made in a scratch folder, packed from there, and removed.
 */

import { buildSource } from '../pack/build/build.ts'
import { packImage } from '../pack/image/pack.ts'
import { loadRecipe } from '../pack/recipe/load.ts'
import { makeScratch } from '../system/scratch.ts'
import { certificatesOf, secretKeysOf } from './key-files.ts'
import { packOptionsOf } from './pack-options.ts'
import { tellPacked } from './packed-text.ts'
import { type PackingOptions, packingOptions } from './shared-options.ts'
import { sourceDateEpoch } from './source-date-epoch.ts'
import type { Verb, VerbContext } from './verb.ts'

interface BuildOptions extends PackingOptions {
  readonly set?: readonly string[]
}

export const verb: Verb = {
  name: 'build',
  register: (program, context) => {
    const command = program
      .command('build')
      .argument('<recipe>', 'path of the recipe (YAML)')
      .description('build an image from a recipe: pack, encrypt, sign')
      .option('--set <key=value...>', 'set a key of the recipe, such as customise.hostname=web1')
    packingOptions(command)
      .addHelpText(
        'after',
        `
Examples:
  osflash build recipes/debian-13.yaml -o debian-13.osimg \\
    --recipient recipient.pub --sign-with signer.key
  SOURCE_DATE_EPOCH=1700000000 osflash build web.yaml -o web.osimg --set customise.hostname=web1 \\
    --recipient recipient.pub --sign-with signer.key

TMPDIR says where the parts of the disk are made; SOURCE_DATE_EPOCH which time the image bears.`,
      )
      .action((path: string, options: BuildOptions) => build(path, options, context))
  },
}

async function build(path: string, options: BuildOptions, context: VerbContext): Promise<void> {
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
