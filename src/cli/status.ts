/**
 * `osflash status`: where a replacement is, in each of the three systems.
 *
 * 1. The verb and its help.
 * 2. What it does is loaded when it is run: actions/status.ts.
 */
import type { StatusVerbOptions } from './actions/status.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'status',
  register: (program, context) => {
    program
      .command('status')
      .description('say where the replacement of this host is, why, and what can be done next')
      .option('--notify', 'also tell the state once more to the address of apply --notify')
      .addHelpText(
        'after',
        `
Examples:
  osflash status
  ssh root@host osflash status --json

Works in the first OS, in the rescue and in the target. Status 0: none is under way, or it goes on,
or it is done. Status 3: it is held, was aborted with a reason, or the rescue did not come up.`,
      )
      .action(async (options: StatusVerbOptions) => {
        const { status } = await import('./actions/status.ts')
        await status(options, context)
      })
  },
}
