/**
 * `osflash plan`: what `osflash apply` would do to this host, without doing it.
 *
 * 1. Options and their help; what they do is in actions/plan.ts.
 * 2. The action is loaded when the verb is run.
 */
import { type FlashOptions, flashOptions } from './flash-options.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'plan',
  register: (program, context) => {
    const command = program
      .command('plan')
      .description('check everything and show how this host would be replaced; changes nothing')
    flashOptions(command)
      .addHelpText(
        'after',
        `
Examples:
  osflash plan --rescue rescue.osimg --target https://images.example/web.osimg \\
    --disk WD-WX12345 --stage S4EVNX0 --trust signer.pub --identity host.key
  osflash plan --json --config web.yaml > plan.json

Refused with status 3: what would not be safe, one line each with what to do. Status 4: signature,
expiry, sequence or key. The same host and images give the same plan.`,
      )
      .action(async (options: FlashOptions) => {
        const { plan } = await import('./actions/plan.ts')
        await plan(options, context)
      })
  },
}
