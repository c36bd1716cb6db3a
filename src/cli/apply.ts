/**
 * `osflash apply`: replaces the operating system of this host.
 *
 * 1. The options of `plan`, and how far to go; what it does is in actions/apply.ts.
 */
import type { ApplyVerbOptions } from './actions/apply.ts'
import { flashOptions } from './flash-options.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'apply',
  register: (program, context) => {
    const command = program
      .command('apply')
      .description('replace the operating system of this host')
      .option('--yes', 'do not ask: the plan was read; --json needs it')
      .option('--no-reboot', 'stop once armed; the next reboot goes into the rescue')
    flashOptions(command)
      .addHelpText(
        'after',
        `
Examples:
  osflash apply --rescue rescue.osimg --target debian-13.osimg --disk S3Z8NB0K --stage S3Z8NB1M \\
    --trust signer.pub --identity host.key
  osflash apply --rescue https://images.example/rescue.osimg \\
    --target https://images.example/debian-13.osimg --disk S3Z8NB0K --stage S3Z8NB1M \\
    --trust signer.pub --identity host.key --go ssh --confirm ssh --yes

osflash plan prints the plan and changes nothing. osflash status says in each system how far it is.
Up to the reboot osflash abort undoes everything. In the rescue it works only where the rescue
holds; while the state is rehearsal, systemctl reboot goes back to this system, and osflash abort
undoes it there.`,
      )
      .action(async (options: ApplyVerbOptions) => {
        const { apply } = await import('./actions/apply.ts')
        await apply(options, context)
      })
  },
}
