/**
 * `osflash inspect IMAGE`: what an image says of itself, without any key.
 *
 * 1. Describes; believes nothing. Whoever needs trust runs `osflash verify`.
 * 2. What it does is loaded when it is run: actions/inspect.ts.
 */
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'inspect',
  register: (program, context) => {
    program
      .command('inspect')
      .argument('<image>', 'path or http(s) address of the image')
      .description('show layout, sizes, recipients and signers; needs no key')
      .addHelpText(
        'after',
        `
Examples:
  osflash inspect debian-13.osimg
  osflash inspect https://images.example/debian-13.osimg
  osflash inspect --json debian-13.osimg | jq '.payloads[].indexDigest'`,
      )
      .action(async (path: string) => {
        const { inspect } = await import('./actions/inspect.ts')
        await inspect(path, context)
      })
  },
}
