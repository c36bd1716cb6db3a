/**
 * `osflash verify IMAGE`: whether an image is whole, and signed by whom.
 *
 * 1. Without an identity: signatures and all digests; with one, every frame.
 * 2. What it does is loaded when it is run: actions/verify.ts.
 */
import { startDecodeThreads } from '../unpack/decode-threads.ts'
import { type ReadingOptions, readingOptions } from './shared-options.ts'
import type { Verb } from './verb.ts'

export const verb: Verb = {
  name: 'verify',
  register: (program, context) => {
    const command = program
      .command('verify')
      .argument('<image>', 'path or http(s) address of the image')
      .description('check signatures and digests; with --identity every frame')
    readingOptions(command)
      .addHelpText(
        'after',
        `
Examples:
  osflash verify debian-13.osimg --trust signer.pub
  osflash verify debian-13.osimg --trust signer.pub --identity recipient.key`,
      )
      .action(async (path: string, options: ReadingOptions) => {
        // They take as long to start as what follows to load.
        await using threads = startDecodeThreads(options.workers)
        const { verify } = await import('./actions/verify.ts')
        await verify(path, { ...options, threads }, context)
      })
  },
}
