/**
 * `osflash bench IMAGE [--to TARGET]`: what this machine does with this image.
 *
 * 1. Options and their help.
 * 2. What it does is loaded when it is run: actions/bench.ts.
 */
import type { BenchVerbOptions } from './actions/bench.ts'
import { integer, readingOptions } from './shared-options.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'bench',
  register: (program, context) => {
    const command = program
      .command('bench')
      .argument('<image>', 'path or http(s) address of the image')
      .description('measure each stage of unpacking alone and all together; say which limits')
      .option('--to <target>', 'also write: to a new file that is removed again, or a directory')
      .option('--force', 'overwrite a device or file that exists; all that is on it is lost')
      .option('--seconds <n>', 'how long to measure, in all (1 to 600)', integer(1, 600), 6)
      .option('--chart <svg>', 'also draw a chart')
    readingOptions(command)
      .addHelpText(
        'after',
        `
Examples:
  osflash bench debian-13.osimg --trust signer.pub --identity recipient.key
  osflash bench debian-13.osimg --to . --trust signer.pub --identity recipient.key
  osflash bench debian-13.osimg --to /dev/sdX --force --chart bench.svg --trust signer.pub \\
    --identity recipient.key

Rates are bytes of unpacked data a second. What is written is noise, never the image.`,
      )
      .action(async (path: string, options: BenchVerbOptions) => {
        const { bench } = await import('./actions/bench.ts')
        await bench(path, options, context)
      })
  },
}
