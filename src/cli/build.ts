/**
 * `osflash build RECIPE -o IMAGE`: from a recipe to a signed image.
 *
 * 1. Options and their help.
 * 2. What it does is loaded when it is run: actions/build.ts.
 */
import type { BuildOptions } from './actions/build.ts'
import { packingOptions } from './shared-options.ts'
import type { Verb } from './verb.ts'

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
      .action(async (path: string, options: BuildOptions) => {
        const { build } = await import('./actions/build.ts')
        await build(path, options, context)
      })
  },
}
