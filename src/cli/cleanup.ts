/**
 * `osflash cleanup`: makes the stage disk blank again, when the target is confirmed.
 *
 * 1. The verb and its help.
 * 2. What it does is loaded when it is run: actions/cleanup.ts.
 */
import type { CleanupVerbOptions } from './actions/cleanup.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'cleanup',
  register: (program, context) => {
    program
      .command('cleanup')
      .description('in the confirmed target: make the stage disk blank, remove its boot entry')
      .option('--yes', 'do not ask; for scripts')
      .addHelpText(
        'after',
        `
Examples:
  osflash cleanup
  ssh root@host osflash cleanup --yes

From then on there is no rescue on this host. Asks for the serial number of the disk.`,
      )
      .action(async (options: CleanupVerbOptions) => {
        const { cleanup } = await import('./actions/cleanup.ts')
        await cleanup(options, context)
      })
  },
}
