/**
 * `osflash confirm`: an operator says that the new system stays.
 *
 * 1. Only in the target; the same as `osflash-confirm`, which needs no stage.
 * 2. What it does is loaded when it is run: actions/confirm.ts.
 */
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'confirm',
  register: (program, context) => {
    program
      .command('confirm')
      .description('in the new system: keep it, the next boot is this system too')
      .addHelpText(
        'after',
        `
Examples:
  ssh root@host osflash confirm
  ssh root@host osflash-confirm

What apply --confirm ssh waits for. Writes the boot structures of the new system, erases the
secrets on the stage disk and ends the trial. May be run again.`,
      )
      .action(async () => {
        const { confirm } = await import('./actions/confirm.ts')
        await confirm(context)
      })
  },
}
