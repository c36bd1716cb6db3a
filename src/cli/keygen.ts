/**
 * `osflash keygen`: a signing key and a recipient key, OpenPGP version 6.
 *
 * 1. Options and their help.
 * 2. What it does is loaded when it is run: actions/keygen.ts.
 */
import type { KeygenOptions } from './actions/keygen.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'keygen',
  register: (program, context) => {
    program
      .command('keygen')
      .description('make a signing key and a recipient key (OpenPGP version 6)')
      .option('--out <dir>', 'folder for the four files', '.')
      .option('--name <text>', 'becomes the user ID of both keys')
      .option('--passphrase', 'lock the keys; asks on the terminal')
      .option('--passphrase-file <file>', 'lock the keys with the first line of this file')
      .option('--force', 'overwrite what is there')
      .addHelpText(
        'after',
        `
Examples:
  osflash keygen --out keys --name 'build farm'
  osflash keygen --out keys --passphrase-file /run/secrets/passphrase

Writes signer.key (signs images), signer.pub (hosts: --trust), recipient.key (hosts:
--identity), recipient.pub (builders: --recipient).`,
      )
      .action(async (options: KeygenOptions) => {
        const { keygen } = await import('./actions/keygen.ts')
        await keygen(options, context)
      })
  },
}
