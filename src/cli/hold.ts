/**
 * `osflash hold`: the rescue stays, instead of going on by itself after its next start.
 *
 * 1. The verb and its help.
 * 2. What it does is loaded when it is run: actions/hold.ts.
 */
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'hold',
  register: (program, context) => {
    program
      .command('hold')
      .description('in the rescue: do not go on by itself after the next start')
      .addHelpText(
        'after',
        `
Examples:
  ssh root@host osflash hold

What is under way is not stopped. osflash resume goes on.`,
      )
      .action(async () => {
        const { hold } = await import('./actions/hold.ts')
        await hold(context)
      })
  },
}
