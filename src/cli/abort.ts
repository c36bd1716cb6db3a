/**
 * `osflash abort`: undoes what was prepared, while the first OS is whole.
 *
 * 1. The verb and its help.
 * 2. What it does is loaded when it is run: actions/abort.ts.
 */
import type { AbortVerbOptions } from './actions/abort.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'abort',
  register: (program, context) => {
    program
      .command('abort')
      .description('boot configuration as it was, nothing is replaced')
      .option('--stage-lost', 'the stage disk is gone for good: undo what can be undone without it')
      .addHelpText(
        'after',
        `
Examples:
  osflash abort
  osflash abort --stage-lost

In the first OS: undoes what apply prepared; the stage disk is blank again.
In a rescue that holds: goes back to the first OS, as long as nothing of it was wiped. Run abort
once more there. A stage disk that is lost may hold the host's SSH keys.`,
      )
      .action(async (options: AbortVerbOptions) => {
        const { abort } = await import('./actions/abort.ts')
        await abort(options, context)
      })
  },
}
