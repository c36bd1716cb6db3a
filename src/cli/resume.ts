/**
 * `osflash resume`: goes on with a replacement, in the rescue.
 *
 * 1. Options and their help; what they do is in actions/resume.ts.
 * 2. The rescue's own service runs it with `--boot`: then it touches nothing that was held.
 */
import type { ResumeVerbOptions } from './actions/resume.ts'
import { integer } from './shared-options.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'resume',
  register: (program, context) => {
    program
      .command('resume')
      .description('go on with the replacement, in the rescue')
      .option('--target <image>', 'flash this image instead of the stored one (path or URL)')
      .option('--trust <cert...>', 'certificates whose signatures count, for --target')
      .option('--threshold <n>', 'how many of them must have signed', integer(1, 16))
      .option('--identity <key...>', 'secret keys to decrypt --target with')
      .option('--passphrase-file <file>', 'passphrase of locked keys')
      .option('--boot', 'as the service of the rescue runs it: never try again what is held')
      .addHelpText(
        'after',
        `
Examples:
  osflash resume
  osflash resume --target https://images.example/web-2.osimg --trust signer.pub --identity host.key

A rescue that holds has SSH open and does nothing by itself. This verb tries again: it wipes the
disk, writes the target, and lets it start on trial. Status 3: it holds again; osflash status says
why. --target takes the place of the stored image, which is gone once fetching began. The keys of
the first OS are gone too: bring copies (scp host.key signer.pub root@HOST:/run/).`,
      )
      .action(async (options: ResumeVerbOptions) => {
        const { resume } = await import('./actions/resume.ts')
        await resume(options, context)
      })
  },
}
