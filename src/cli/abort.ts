/**
 * `osflash abort`: undoes what apply prepared, while the first OS still runs.
 *
 * 1. The verb and its help.
 * 2. What it does is loaded when it is run: actions/abort.ts.
 */
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'abort',
  register: (program, context) => {
    program
      .command('abort')
      .description('in the first OS: boot configuration as it was, nothing is replaced')
      .addHelpText(
        'after',
        `
Examples:
  osflash abort

Refused once the rescue has put its guard in place. What was staged stays on the stage disk, without
its secrets: the next osflash apply is faster.`,
      )
      .action(async () => {
        const { abort } = await import('./actions/abort.ts')
        await abort(context)
      })
  },
}
