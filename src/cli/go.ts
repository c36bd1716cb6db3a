/**
 * `osflash go`: the operator's GO, where apply was told `--go ssh`.
 *
 * 1. The verb and its help.
 * 2. What it does is loaded when it is run: actions/go.ts.
 */
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'go',
  register: (program, context) => {
    program
      .command('go')
      .description('in the rescue: start the replacement that waits for GO')
      .addHelpText(
        'after',
        `
Examples:
  ssh root@host osflash go

From then on there is no way back to the first OS. Without GO in time the host returns to it.`,
      )
      .action(async () => {
        const { go } = await import('./actions/go.ts')
        await go(context)
      })
  },
}
