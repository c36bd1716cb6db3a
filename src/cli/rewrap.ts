/**
 * `osflash rewrap IMAGE`: changes who may decrypt, without touching a payload.
 *
 * 1. Options and their help.
 * 2. What it does is loaded when it is run: actions/rewrap.ts.
 */
import type { RewrapVerbOptions } from './actions/rewrap.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'rewrap',
  register: (program, context) => {
    program
      .command('rewrap')
      .argument('<image>', 'path or http(s) address of the image')
      .description('add or remove recipients; payloads and signatures stay')
      .option('--add <cert...>', 'certificates of new recipients')
      .option('--remove <fpr...>', 'fingerprints (as inspect prints them) or certificates')
      .option('--identity <key...>', 'secret keys of a present recipient; needed to add')
      .option('--passphrase-file <file>', 'passphrase of locked keys')
      .option('-o, --output <image>', 'write another image (default: replace this one)')
      .option('--force', 'replace an image of that name')
      .addHelpText(
        'after',
        `
Examples:
  osflash rewrap debian-13.osimg --add new-host.pub --identity recipient.key
  osflash rewrap debian-13.osimg --remove old-host.pub
  osflash rewrap debian-13.osimg --add a.pub b.pub --identity recipient.key -o for-a-and-b.osimg

Who was removed can still open copies made before.`,
      )
      .action(async (path: string, options: RewrapVerbOptions) => {
        const { rewrap } = await import('./actions/rewrap.ts')
        await rewrap(path, options, context)
      })
  },
}
